// Runs a sketch, whose file is SKETCH, for RUN_MS milliseconds of the board's clock.
#include SKETCH

int main() {
  const char *text = getenv("RUN_MS");
  const unsigned long run = text ? strtoul(text, nullptr, 10) : 0;
  setup();
  while (millis() < run) {
    loop();
    delay(1);
  }
}
