// SPDX-License-Identifier: Apache-2.0
#include "MailRelay.h"

namespace {

const uint32_t TIMEOUT = 15000;  // ms for a whole mail
const uint8_t LINE = 72;         // where in a line of text the last byte begins: "=3D=" ends at 76 (RFC 2045 6.7)
const uint8_t WORD = 61;         // where in a line of the subject the last character begins: it may take 12 places, and
                                 // "?=" 2 of the 76 that there are (RFC 2047 2)

// What is said at each step, then what has no step. A byte below a space stands for something.
enum : uint8_t { ToDomain = 1, ToSender, ToRecipient, ToList, ToSubject };
const char PHRASES[] PROGMEM =
    "\0\0\0"
    "HELO \1\r\n\0"
    "MAIL FROM:<\2>\r\n\0"
    "RCPT TO:<\3>\r\n\0"
    "DATA\r\n\0"
    "From: \2\r\nTo: \4\r\nSubject: \5\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\0"
    ".\r\n\0"
    "QUIT\r\n\0"
    "=?UTF-8?Q?\0"
    "?=\r\n =?UTF-8?Q?\0"
    "?=";
enum : uint8_t { Recipient = 5, Header = 7, End, Quit, WordStart, WordBreak, WordEnd };

// In the order of MailRelay::Result; and of MailRelay::Step, from AtGreeting on.
const char RESULTS[] PROGMEM =
    "sent\0refused in part\0refused\0no connection\0connection lost\0timed out\0"
    "not SMTP\0bad address\0busy";
const char STEPS[] PROGMEM = "greeting\0HELO\0MAIL FROM\0RCPT TO\0DATA\0text";

const __FlashStringHelper *nth(const char *texts, uint8_t number) {
  while (number) {
    if (!pgm_read_byte(texts++)) number--;
  }
  return reinterpret_cast<const __FlashStringHelper *>(texts);
}

bool continues(uint8_t byte) {  // a character of UTF-8 goes on with this byte
  return (byte & 0xC0) == 0x80;
}

}  // namespace

// ---- what a sketch calls --------------------------------------------------------------------------------------------

MailRelay::MailRelay(Client &client, IPAddress server, uint16_t port)
    : MailRelay(client, static_cast<const char *>(nullptr), port) {
  _address = server;
}

MailRelay::MailRelay(Client &client, const char *server, uint16_t port)
    : _client(client),
      _server(server),
      _port(port),
      _sender(server),
      _log(nullptr),
      _idle(nullptr),
      _timeout(TIMEOUT),
      _code(0),
      _result(Sent),
      _step(AtAddress),
      _active(false),
      _open(false) {
  _reply[0] = 0;
}

MailRelay::Result MailRelay::send(MailText to, MailText subject, MailText text) {
  if (_active) return Busy;
  if (beginMail(to, subject)) {
    for (size_t at = 0; text[at]; at++) write(text[at]);
    endMail();
  }
  return _result;
}

bool MailRelay::beginMail(MailText to, MailText subject) {
  if (_active) return false;
  _active = true;
  _to = to;
  _subject = subject;
  _result = Sent;
  _step = AtAddress;
  _code = 0;
  _reply[0] = 0;
  _waiting = 0;
  _started = millis();
  _open = converse();
  if (!_open) leave();
  return _open;
}

MailRelay::Result MailRelay::endMail() {
  if (_open) {
    _open = false;
    if (_column) newLine();
    say(End);
    if (expect(readReply(), 2) && _code >= 400) {  // some recipient's
      _result = SomeRefused;
      _step = AtRecipient;
    }
    leave();
  }
  return _result;
}

size_t MailRelay::write(uint8_t byte) {
  if (!_open) return 0;
  if (byte == '\n') {
    newLine();
  } else if (byte && byte != '\r') {  // line ends are made of the LF alone
    if (_column > LINE) {
      put('=');
      newLine();
    }
    if (byte == '.' && !_column) put('.');  // RFC 5321 4.5.2
    putQuoted(byte, byte >= ' ' && byte <= '~' && byte != '=');
  }
  return !_result;
}

bool MailRelay::isTemporary() const {
  return _result == Refused ? _code < 500 : (_result >= NotConnected && _result <= TimedOut);
}

void MailRelay::printError(Print &out) const {
  out.print(F("mail: "));
  out.print(nth(RESULTS, _result));
  if (_result && _step >= AtGreeting) {
    out.print(F(" at "));
    out.print(nth(STEPS, _step - AtGreeting));
  }
  if (_result <= Refused) {
    out.print(F(": "));
    out.print(_reply);
  }
  out.println();
}

// ---- the dialogue ---------------------------------------------------------------------------------------------------

// Up to where the server waits for the text, the header written.
bool MailRelay::converse() {
  if (!areSound(_to) || !areSound(_sender)) {
    _result = BadAddress;
    return false;
  }
  _step = AtConnect;
  _client.stop();  // whatever the sketch had it do before
  if (!(_server ? _client.connect(_server, _port) : _client.connect(IPAddress(_address), _port))) {
    _result = NotConnected;
    return false;
  }
  _paced = _client.availableForWrite() > 0;
  while (++_step < AtText) {
    if (_step == AtRecipient) {
      if (!tellRecipients()) return false;
      continue;
    }
    say(_step);
    if (!expect(readReply(), _step == AtData ? 3 : 2)) return false;
  }
  say(Header);
  _column = 0;
  return !_result;
}

// Whether it is addresses with commas between, all of printable ASCII: that leaves no way to smuggle a command in.
// Leaves in _at where the domain of the last of them begins.
bool MailRelay::areSound(const MailText &list) {
  uint8_t before = ',', byte;
  _at = 0;
  for (size_t at = 0; (byte = list[at]); at++) {
    if (byte == ' ' && before == ',') continue;
    if (byte <= ' ' || byte > '~' || byte == '<' || byte == '>' || (byte == ',' && before == ',')) return false;
    if (byte == '@') _at = at + 1;
    before = byte;
  }
  return before != ',';
}

// True if the server takes at least one of them.
bool MailRelay::tellRecipients() {
  bool taken = false;
  uint16_t code;
  _at = 0;
  do {
    while (_to[_at] == ' ') _at++;
    say(Recipient);
    code = readReply();
    if (code / 100 == 2) taken = true;
    while (_to[_at] && _to[_at] != ',') _at++;
  } while (_to[_at++]);
  return taken || expect(code, 2);
}

// Leaves in good order where the connection still stands; what comes of that changes nothing.
void MailRelay::leave() {
  Result result = _result;
  if (result <= Refused) {
    _result = Sent;
    say(Quit);
    transmit();
    while (wait() && _client.connected() && _client.available() <= 0) {
    }
    _result = result;
  }
  _client.stop();
  _active = false;
  if (result && _log) printError(*_log);
}

void MailRelay::newLine() {
  put('\r');
  put('\n');
  _column = 0;
}

// As it is where it is plain ASCII, else in encoded words, each of whole characters (RFC 2047 4.2).
void MailRelay::putSubject() {
  uint8_t byte, before = 0;
  bool plain = true;
  size_t at = 0;
  for (; (byte = _subject[at]); at++) {
    if (byte > '~' || (before == '=' && byte == '?')) plain = false;
    before = byte;
  }
  if (!plain) say(WordStart);
  _column = 9 + 10;  // "Subject: =?UTF-8?Q?"
  for (at = 0; (byte = _subject[at]); at++) {
    if (byte < ' ') byte = ' ';  // no line end, least of all one that begins another field
    if (!plain && (_column > WORD + 9 || (_column > WORD && !continues(byte)))) {
      say(WordBreak);
      _column = 1 + 10;
    }
    putQuoted(byte, plain || isalnum(byte));
  }
  if (!plain) say(WordEnd);
}

// A byte of quoted-printable or of an encoded word.
void MailRelay::putQuoted(uint8_t byte, bool literal) {
  _column++;
  if (literal) {
    put(byte);
    return;
  }
  put('=');
  putDigit(byte >> 4);
  putDigit(byte & 15);
  _column += 2;
}

void MailRelay::putDigit(uint8_t digit) {
  put(digit + (digit > 9 ? 'A' - 10 : '0'));
}

// ---- bytes ----------------------------------------------------------------------------------------------------------

void MailRelay::say(uint8_t number) {
  const char *phrase = reinterpret_cast<const char *>(nth(PHRASES, number));
  for (uint8_t byte; (byte = pgm_read_byte(phrase)); phrase++) {
    switch (byte) {
      case ToDomain: put(_sender, _at, 0); break;
      case ToSender: put(_sender, 0, 0); break;
      case ToRecipient: put(_to, _at, ','); break;
      case ToList: put(_to, 0, 0); break;
      case ToSubject: putSubject(); break;
      default: put(byte);
    }
  }
}

void MailRelay::put(const MailText &text, size_t at, uint8_t stop) {
  for (uint8_t byte; (byte = text[at]) && byte != stop; at++) put(byte);
}

void MailRelay::put(uint8_t byte) {
  _buffer[_waiting++] = byte;
  if (_waiting >= sizeof _buffer) transmit();
}

// Hands over what waits. A client that tells how much it can take is not given more, so that it need not make us wait.
void MailRelay::transmit() {
  while (_waiting && wait()) {
    if (_paced && _client.availableForWrite() < _waiting) {
      if (!_client.connected()) _result = ConnectionLost;
      continue;
    }
    if (_client.write(reinterpret_cast<const uint8_t *>(_buffer), _waiting) != _waiting) _result = ConnectionLost;
    _waiting = 0;
  }
  _waiting = 0;
}

// The code of the next reply, all of its lines read (RFC 5321 4.2.1); 0 where there came none. The first line of a
// refusal is kept as the reply that counts until another refusal comes.
uint16_t MailRelay::readReply() {
  transmit();
  uint8_t length = 0;
  bool first = true;
  while (wait()) {
    if (_client.available() <= 0) {
      if (!_client.connected()) _result = ConnectionLost;
      continue;
    }
    char byte = _client.read();
    if (byte != '\n') {
      if (byte != '\r' && length < sizeof _buffer - 1) _buffer[length++] = byte;
      continue;
    }
    _buffer[length] = 0;
    uint16_t code = 0;
    for (uint8_t at = 0; at < 3; at++) code = code * 10 + static_cast<uint8_t>(_buffer[at] - '0');
    if (length < 3 || code < 100 || code > 599) {
      _result = NotSmtp;
      continue;
    }
    if (first && (code >= 400 || _code < 400)) {
      _code = code;
      strcpy(_reply, _buffer);
    }
    if (_buffer[3] != '-') return code;
    first = false;
    length = 0;
  }
  return 0;
}

// Whether it is a reply of the kind that is wanted, 2 or 3. Otherwise the mail has failed.
bool MailRelay::expect(uint16_t code, uint8_t kind) {
  if (!_result && code / 100 != kind) _result = Refused;
  return !_result;
}

// Lets others have their turn. False when the time is up, or the mail has failed.
bool MailRelay::wait() {
  if (!_result && static_cast<uint32_t>(millis()) - _started >= _timeout) _result = TimedOut;
  if (_result) return false;
  if (_idle) _idle();
  yield();
  return true;
}
