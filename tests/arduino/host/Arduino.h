// The host's stand-in for the core's Arduino.h: what the library and the sketches use of it. Print, Client, IPAddress
// and the like are the core's own.
#pragma once

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <avr/pgmspace.h>

#include "Print.h"
#include "WString.h"

typedef uint8_t byte;

enum { LOW, HIGH };
enum { INPUT, OUTPUT };
const uint8_t A0 = 54;

template <class T>
T min(T a, T b) { return a < b ? a : b; }

unsigned long millis();
void delay(unsigned long milliseconds);
void yield();
void pinMode(uint8_t pin, uint8_t mode);
int digitalRead(uint8_t pin);

class HostSerial : public Print {
 public:
  void begin(unsigned long) {}
  size_t write(uint8_t byte) override;
  using Print::write;
};
extern HostSerial Serial;
