// Mail from an Arduino with one function: copy sendMail() into your project, nothing else is needed.
//
// It talks to a mail relay in the same network (or to any mail server that takes mail without a login), waits for every
// answer, and gives up after LIMIT. For several recipients, umlauts in the subject or a text made piece by piece, take
// the library MailRelay instead.
//
// SPDX-License-Identifier: Apache-2.0

#include <SPI.h>
#include <Ethernet.h>

byte mac[] = {0xDE, 0xAD, 0xBE, 0xEF, 0xFE, 0x01};
IPAddress relay(192, 168, 1, 1);
const char sender[] = "arduino@plant7.example.org";
const char recipient[] = "you@example.org";

EthernetClient client;

// Sends one mail. Returns 250 if the server has it; what the server said instead (like 550); or 0 if there was no
// connection, or no answer in time.
int sendMail(Client &client, const char *to, const char *subject, const char *text) {
  const unsigned long LIMIT = 10000;  // milliseconds for all of it
  const unsigned long started = millis();
  char out[64];  // what goes into one packet
  byte waiting = 0;

  auto put = [&](char c) {
    out[waiting++] = c;
    if (waiting == sizeof out) {
      client.write(reinterpret_cast<uint8_t *>(out), waiting);
      waiting = 0;
    }
  };
  auto say = [&](const __FlashStringHelper *words, const char *more) {
    const char *from = reinterpret_cast<const char *>(words);
    while (char c = pgm_read_byte(from++)) put(c);
    while (*more) {
      char c = *more++;
      put(c < ' ' && c >= 0 ? ' ' : c);  // no line end in an address or subject: it would begin a new command
    }
  };
  // Ends the line and reads the answer: all of its lines, "250-..." and the last one, "250 ...".
  auto answer = [&]() -> int {
    if (waiting) client.write(reinterpret_cast<uint8_t *>(out), waiting);
    waiting = 0;
    int code = 0;
    byte column = 0;
    bool last = true;
    while (millis() - started < LIMIT) {
      if (!client.available()) {
        if (!client.connected()) return 0;
        continue;
      }
      char c = client.read();
      if (c == '\n') {
        if (last) return code;
        column = 0;
      } else {
        if (column < 3) code = (column ? code * 10 : 0) + (c - '0');
        if (column == 3) last = c != '-';
        if (column < 4) column++;
      }
    }
    return 0;
  };

  int code = 0;
  if (client.connect(relay, 25)) {
    code = answer();
    for (byte step = 0; step < 5 && code >= 200 && code < 400; step++) {
      switch (step) {
        case 0: say(F("HELO arduino"), ""); break;
        case 1: say(F("MAIL FROM:<"), sender); put('>'); break;
        case 2: say(F("RCPT TO:<"), to); put('>'); break;
        case 3: say(F("DATA"), ""); break;
        case 4:
          say(F("From: "), sender);
          say(F("\r\nTo: "), to);
          say(F("\r\nSubject: "), subject);
          say(F("\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n"
                "Content-Transfer-Encoding: 8bit\r\n\r\n"), "");
          bool lineStart = true;
          for (const char *c = text; *c; c++) {
            if (*c == '\r') continue;  // line ends are made of the \n
            if (*c == '\n') put('\r');
            if (lineStart && *c == '.') put('.');  // a line that is a lone dot would end the mail
            put(*c);
            lineStart = *c == '\n';
          }
          if (!lineStart) say(F("\r\n"), "");
          put('.');
          break;
      }
      put('\r');
      put('\n');
      int said = answer();
      bool wanted = step == 3 ? said == 354 : said / 100 == 2;
      code = wanted ? said : (said >= 400 ? said : 0);
    }
    say(F("QUIT\r\n"), "");
    if (code) answer();
  }
  client.stop();
  return code;
}

void setup() {
  Serial.begin(9600);
  Ethernet.begin(mac);  // asks the router for an address
  delay(1000);

  int code = sendMail(client, recipient, "Hello", "The Arduino has started.\n");
  if (code == 250) {
    Serial.println(F("mail sent"));
  } else {
    Serial.print(F("mail not sent: "));
    Serial.println(code);
  }
}

void loop() {
  Ethernet.maintain();
}
