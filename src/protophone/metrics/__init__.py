"""Arrays in, numbers out: ABX, bit rates, intelligibility, each with what it was measured on."""
