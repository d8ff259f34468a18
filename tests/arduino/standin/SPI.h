// Stand-in: sketches include SPI.h before Ethernet.h; with no Ethernet chip there is nothing in it to call.
