"""Sound files of the kinds that only FFmpeg writes."""

import numpy as np


def encoded(path, samples, rate, codec, *, container=None, layout="mono", options=None):
    """Write ``samples`` ``[sample]`` or ``[channel, sample]`` with PyAV."""
    import av

    channels = np.atleast_2d(samples)
    with av.open(str(path), "w", format=container, options=options or {}) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.layout = layout
        stream.bit_rate = 12200 if "amr" in codec else 64000
        if codec == "wavpack":
            stream.format = "s16p"
        stream.codec_context.open()
        values = np.ascontiguousarray((channels * 32767).astype(np.int16).T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(values, format="s16", layout=layout)
        frame.sample_rate = rate
        kind, size = stream.codec_context.format, stream.codec_context.frame_size or None
        resampler = av.AudioResampler(format=kind, layout=layout, rate=rate, frame_size=size)
        for part in (frame, None):
            for each in resampler.resample(part):
                file.mux(stream.encode(each))
        file.mux(stream.encode(None))
