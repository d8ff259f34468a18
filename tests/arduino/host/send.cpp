// Sends a mail with the library as its words say (name=value), and prints what became of it, a line each.
#include <Ethernet.h>
#include <MailRelay.h>

namespace {

const char *const *words;
unsigned long idles;
MailRelay *current;
bool meddle;

const char *word(const char *name, const char *otherwise = "") {
  size_t length = strlen(name);
  for (const char *const *one = words; *one; one++) {
    if (!strncmp(*one, name, length) && (*one)[length] == '=') return *one + length + 1;
  }
  return otherwise;
}

void idle() {
  idles++;
  if (meddle) {
    if (current->send("other@example.org", "no", "no") != MailRelay::Busy) printf("meddled=1\n");
    if (current->beginMail("other@example.org", "no")) printf("meddled=1\n");
  }
}

}  // namespace

int main(int, char **arguments) {
  words = arguments + 1;
  EthernetClient client;
  client.setConnectionTimeout(500);
  uint16_t port = atoi(word("port"));
  MailRelay byAddress(client, IPAddress(127, 0, 0, 1), port);
  MailRelay byName(client, word("host"), port);
  MailRelay &mail = *word("host") ? byName : byAddress;
  current = &mail;
  meddle = *word("meddle");
  mail.setSender(word("sender", "board@plant7.example.org"));
  mail.setTimeout(strtoul(word("timeout", "5000"), nullptr, 10));
  mail.setIdle(idle);
  if (*word("log")) mail.setLog(Serial);
  for (int left = atoi(word("times", "1")); left; left--) {
    unsigned long start = millis();
    MailRelay::Result result;
    if (*word("pieces")) {
      if (mail.beginMail(word("to"), F("In pieces"))) {
        mail.print(F("Temperature: "));
        mail.println(21.5);
        mail.println(42);
        mail.print('.');
        mail.endMail();
      }
      result = mail.result();
    } else {
      result = mail.send(word("to"), word("subject"), word("text"));
    }
    unsigned long took = static_cast<uint32_t>(millis() - start);
    printf("result=%d\ncode=%u\nreply=%s\ntemporary=%d\ntook=%lu\nidles=%lu\n", result, mail.replyCode(), mail.reply(),
           mail.isTemporary(), took, idles);
    printf("error=");
    fflush(stdout);
    mail.printError(Serial);
  }
}
