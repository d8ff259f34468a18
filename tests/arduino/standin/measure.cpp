// What the library adds to a sketch that has a network client and says something on Serial: compiled with and without
// LIBRARY defined.
#include <Ethernet.h>

EthernetClient ethernet;
Client *volatile client = &ethernet;  // so that neither of the two profits from knowing which client it is

#ifdef LIBRARY
#include <MailRelay.h>
MailRelay mail(*client, IPAddress(192, 168, 1, 1));
#endif

void setup() {
  Serial.begin(9600);
#ifdef LIBRARY
  mail.setSender(F("controllino@plant7.example.org"));
  mail.setLog(Serial);
  mail.send(F("you@example.org"), F("Pump 3"), F("stands still"));
#else
  if (client->connect(IPAddress(192, 168, 1, 1), 25)) {
    client->println(F("HELO controllino"));
    while (client->connected()) {
      if (client->available()) Serial.write(client->read());
    }
    client->stop();
  }
  Serial.println(F("done"));
#endif
}

void loop() {}
