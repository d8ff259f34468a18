// MailRelay: sends a mail over plain SMTP, to a mailrelay or to any other mail server that takes mail without a login.
//
// For boards with little memory: no heap, no String, some 200 bytes of RAM. Works over anything that is a Client:
// Ethernet, WiFi, GSM. It knows neither TLS nor logins: that is what the relay in the same network is for.
//
//   EthernetClient client;
//   MailRelay mail(client, IPAddress(192, 168, 1, 1));
//
//   mail.setSender("plant7@example.org");
//   if (mail.send("you@example.org", F("Pump 3"), F("stands still")) != MailRelay::Sent)
//     mail.printError(Serial);
//
// SPDX-License-Identifier: Apache-2.0

#ifndef MAILRELAY_H
#define MAILRELAY_H

#include <Arduino.h>
#include <Client.h>
#include <IPAddress.h>

// Text in RAM, or in flash where it is written as F("..."). It is not copied: it must stay as long as it is used.
class MailText {
 public:
  MailText() {}
  MailText(const char *text) : _text(text), _flash(false) {}
  MailText(const __FlashStringHelper *text) : _text(reinterpret_cast<const char *>(text)), _flash(true) {}

  // The byte at this place; 0 at the end. Not to be asked for what is behind the end.
  uint8_t operator[](size_t at) const {
    if (!_text) return 0;
    return _flash ? pgm_read_byte(_text + at) : static_cast<uint8_t>(_text[at]);
  }

 private:
  const char *_text;
  bool _flash;
};

class MailRelay : public Print {
 public:
  enum Result : uint8_t {
    Sent,            // the server has it, for all recipients
    SomeRefused,     // the server has it, but not for all recipients; the reply is that to the last one it refused
    Refused,         // by the server; replyCode() and reply() say why
    NotConnected,    // nobody listens there, or the cable is out
    ConnectionLost,  // the server hung up
    TimedOut,        // not done within setTimeout()
    NotSmtp,         // what answers there is no mail server
    BadAddress,      // a sender or recipient that is none; nothing was sent
    Busy             // another mail is under way: one that was begun and not ended, or we are in the idle function
  };

  MailRelay(Client &client, IPAddress server, uint16_t port = 25);
  MailRelay(Client &client, const char *server, uint16_t port = 25);  // by name: asks the DNS, see connect() of the client

  // Whom the mail is from. Not copied: it must stay. Its domain is also how the board calls itself to the server.
  void setSender(MailText address) { _sender = address; }

  // How long a whole mail may take, in milliseconds; 15,000 if you don't say. What a call of the client itself takes
  // (connecting, closing) may come on top; its own setConnectionTimeout() is for that.
  void setTimeout(uint32_t milliseconds) { _timeout = milliseconds; }

  // Where to say what went wrong, like Serial.
  void setLog(Print &log) { _log = &log; }

  // Called again and again while we wait for the server: for a watchdog, or for what must go on. It can't send mail.
  void setIdle(void (*idle)()) { _idle = idle; }

  // Sends a mail. `to` is an address, or several with commas between. Subject and text may be UTF-8.
  Result send(MailText to, MailText subject, MailText text);

  // The same in pieces: if beginMail() is true print() the text, then endMail(). If it is false it is over: result().
  bool beginMail(MailText to, MailText subject);
  Result endMail();
  size_t write(uint8_t byte) override;
  using Print::write;

  // Of the last mail.
  Result result() const { return _result; }

  // The last refusal, or where nothing was refused the last reply: its three digits (0: there was none), and its first
  // line, digits included, as far as there is room.
  uint16_t replyCode() const { return _code; }
  const char *reply() const { return _reply; }

  // Whether the same mail may go through later: not so where the server refused it for good.
  bool isTemporary() const;

  // One line for people about what went wrong: "mail: refused at RCPT TO: 550 5.1.1 no such user".
  void printError(Print &out) const;

 private:
  enum Step : uint8_t { AtAddress, AtConnect, AtGreeting, AtHello, AtMail, AtRecipient, AtData, AtText };

  bool converse();
  bool areSound(const MailText &list);
  bool tellRecipients();
  void leave() __attribute__((noinline));
  void putSubject();
  void putQuoted(uint8_t byte, bool literal) __attribute__((noinline));
  void putDigit(uint8_t digit) __attribute__((noinline));
  void newLine();

  void say(uint8_t phrase);
  void put(uint8_t byte);
  void put(const MailText &text, size_t at, uint8_t stop);
  void transmit();
  uint16_t readReply();
  bool expect(uint16_t code, uint8_t kind) __attribute__((noinline));
  bool wait();

  Client &_client;
  uint32_t _address;
  const char *_server;
  uint16_t _port;
  MailText _sender;
  MailText _to;        // these two while beginMail() runs
  MailText _subject;
  size_t _at;          // where the domain begins that is to be told, or the recipient in _to
  Print *_log;
  void (*_idle)();
  uint32_t _timeout;
  uint32_t _started;
  uint16_t _code;
  Result _result;
  uint8_t _step;
  uint8_t _column;     // bytes in this line of the text
  bool _active;        // a mail is under way
  bool _open;          // the server waits for our text
  bool _paced;         // the client tells how much it can take
  uint8_t _waiting;    // bytes in _buffer
  char _buffer[56];    // what goes out together, as a client may make a packet of each write; or a line that comes in
  char _reply[56];
};

#endif
