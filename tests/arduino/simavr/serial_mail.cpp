// A mail from a board whose second serial line leads to the server.
#include <MailRelay.h>

class SerialClient : public Client {
 public:
  int connect(IPAddress, uint16_t) override { return 1; }
  int connect(const char *, uint16_t) override { return 1; }
  int availableForWrite() override { return Serial1.availableForWrite(); }
  size_t write(uint8_t byte) override { return Serial1.write(byte); }
  size_t write(const uint8_t *buf, size_t size) override { return Serial1.write(buf, size); }
  int available() override { return Serial1.available(); }
  int read() override { return Serial1.read(); }
  int read(uint8_t *buf, size_t size) override { return Serial1.readBytes(buf, size); }
  int peek() override { return Serial1.peek(); }
  void flush() override { Serial1.flush(); }
  void stop() override {}
  uint8_t connected() override { return 1; }
  operator bool() override { return true; }
  using Print::write;
};

SerialClient client;
MailRelay mail(client, IPAddress(192, 168, 1, 1));

void setup() {
  Serial.begin(115200);
  Serial1.begin(115200);
  mail.setSender(F("board@plant7.example.org"));
  if (mail.beginMail("you@example.org, night.shift@example.org", F("Störung an Pumpe 3: zu heiß, seit mehr als einer Viertelstunde"))) {
    mail.print(F("Temperatur: "));
    mail.print(85.5);
    mail.println(F(" °C"));
    for (uint16_t line = 0; line < 400; line++) mail.println(line);
    mail.println(F("."));
    mail.endMail();
  }
  mail.printError(Serial);
  Serial.println(F("done"));
}

void loop() {}
