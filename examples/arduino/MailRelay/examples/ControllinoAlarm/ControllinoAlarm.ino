// Mails when an input changes: for a Controllino (MAXI, MEGA), or an Arduino Mega with an Ethernet shield.
//
// The input is debounced. Where a mail can't be sent it is tried again, at growing intervals, for as long as it takes;
// should the input change meanwhile, what is mailed is how things are now. The control program goes on while a mail is
// under way: control() is called all the time, at least every CLIENT_MS milliseconds even with the cable out.
//
// SPDX-License-Identifier: Apache-2.0

#include <SPI.h>
#include <Ethernet.h>
#include <MailRelay.h>

const uint8_t INPUT_PIN = A0;  // CONTROLLINO_A0
const IPAddress RELAY(192, 168, 1, 1);
const char SENDER[] = "controllino@plant7.example.org";
const char RECIPIENTS[] = "you@example.org, night.shift@example.org";

const uint32_t DEBOUNCE_MS = 50;
const uint32_t MAIL_MS = 10000;  // a mail may take so long, all in all
const uint16_t CLIENT_MS = 500;  // and one call of the Ethernet library so long: connecting, closing
const uint32_t RETRY_FIRST_MS = 10000;
const uint32_t RETRY_LAST_MS = 600000;

uint8_t mac[] = {0xDE, 0xAD, 0xBE, 0xEF, 0xFE, 0x07};
EthernetClient client;
MailRelay mail(client, RELAY);

bool state;       // the input, debounced
bool raw;         // as it was read last
uint32_t rawAt;   // since when
bool pending;     // a mail is to be sent
uint32_t tryAt;   // when it was tried last
uint32_t pause;   // how long to wait from then
uint16_t changes; // since the last mail that went out

// What must go on whatever the mail does: your control program. It must not wait for anything itself.
void control() {
  bool now = digitalRead(INPUT_PIN) == HIGH;
  if (now != raw) {
    raw = now;
    rawAt = millis();
  } else if (now != state && millis() - rawAt >= DEBOUNCE_MS) {
    state = now;
    changes++;
    pending = true;
    pause = 0;  // news is tried at once
  }
}

void sendAlarm() {
  uint16_t told = changes;
  bool alarm = state;
  if (mail.beginMail(RECIPIENTS, alarm ? F("Pump 3: ALARM") : F("Pump 3: all clear"))) {
    mail.print(F("Input A0 is "));
    mail.println(alarm ? F("on.") : F("off."));
    mail.print(F("Changes since the last mail: "));
    mail.println(told);
    mail.print(F("Running for (minutes): "));
    mail.println(millis() / 60000);
    mail.endMail();
  }
  tryAt = millis();
  if (mail.result() <= MailRelay::SomeRefused) {
    changes -= told;
    pending = changes > 0;  // it changed while we were sending
    pause = 0;
    Serial.println(F("mail sent"));
  } else {
    // Even a refusal is tried again: somebody may mend the relay's settings.
    pause = pause ? min(pause * 2, RETRY_LAST_MS) : RETRY_FIRST_MS;
  }
}

void setup() {
  Serial.begin(115200);
  pinMode(INPUT_PIN, INPUT);
  state = raw = digitalRead(INPUT_PIN) == HIGH;

  Ethernet.begin(mac, IPAddress(192, 168, 1, 50), RELAY, RELAY, IPAddress(255, 255, 255, 0));
  // The chip itself tries to reach a machine that does not answer for half a minute: here for 375 ms.
  Ethernet.setRetransmissionTimeout(25);
  Ethernet.setRetransmissionCount(3);
  client.setConnectionTimeout(CLIENT_MS);

  mail.setSender(SENDER);
  mail.setTimeout(MAIL_MS);
  mail.setLog(Serial);
  mail.setIdle(control);
  Serial.println(F("watching the input"));
}

void loop() {
  control();
  if (pending && millis() - tryAt >= pause) sendAlarm();
}
