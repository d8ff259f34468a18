// On the host, flash is memory.
#pragma once

#define PROGMEM
#define PGM_P const char *
#define PSTR(text) (text)
#define pgm_read_byte(address) (*reinterpret_cast<const unsigned char *>(address))
