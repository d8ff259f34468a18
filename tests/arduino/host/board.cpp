// The board on the host: a clock, a serial line that is standard output, an input that is a file, and TCP.
//
// From the environment: CLOCK, what millis() starts with; RATE, how many times faster it runs; INPUT_FILE, whose first byte is the input's level ('1' high);
// PACED=0, a client that does not tell how much it can take, as most are; SEND_BUFFER, its size in bytes; PORT, which
// takes the place of port 25.
#include <Arduino.h>
#include <Ethernet.h>

// After the core's headers, which use a name that these define.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

HostSerial Serial;
EthernetClass Ethernet;

namespace {

unsigned long number(const char *name, unsigned long otherwise) {
  const char *text = getenv(name);
  return text ? strtoul(text, nullptr, 10) : otherwise;
}

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1000000;
}

}  // namespace

// 32 bits that wrap, as on a board.
unsigned long millis() {
  static const uint64_t start = now();
  return static_cast<uint32_t>((now() - start) * number("RATE", 1) + number("CLOCK", 0));
}

void delay(unsigned long milliseconds) { usleep(milliseconds * 1000 / number("RATE", 1)); }

void yield() { usleep(100); }

void pinMode(uint8_t, uint8_t) {}

int digitalRead(uint8_t) {
  const char *path = getenv("INPUT_FILE");
  FILE *file = path ? fopen(path, "r") : nullptr;
  int level = file ? fgetc(file) : '0';
  if (file) fclose(file);
  return level == '1' ? HIGH : LOW;
}

size_t HostSerial::write(uint8_t byte) {
  putchar(byte);
  if (byte == '\n') fflush(stdout);
  return 1;
}

int EthernetClass::begin(uint8_t *, unsigned long, unsigned long) { return 1; }
void EthernetClass::begin(uint8_t *, IPAddress, IPAddress, IPAddress, IPAddress) {}
int EthernetClass::maintain() { return 0; }
void EthernetClass::setRetransmissionTimeout(uint16_t) {}
void EthernetClass::setRetransmissionCount(uint8_t) {}

// The address that sketches name is the router's: here everything is on this machine.
int EthernetClient::connect(IPAddress, uint16_t port) { return connect("127.0.0.1", port); }

int EthernetClient::connect(const char *host, uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(number("PORT", port));
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return 0;
  _socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int one = 1, size = number("SEND_BUFFER", 0);
  setsockopt(_socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (size) setsockopt(_socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  int failed = ::connect(_socket, reinterpret_cast<sockaddr *>(&address), sizeof address);
  pollfd wait = {_socket, POLLOUT, 0};
  if (failed && errno == EINPROGRESS && poll(&wait, 1, _timeout) == 1) {
    socklen_t length = sizeof failed;
    getsockopt(_socket, SOL_SOCKET, SO_ERROR, &failed, &length);
  }
  if (failed) stop();
  return !failed;
}

int EthernetClient::availableForWrite() {
  if (!number("PACED", 1)) return 0;
  pollfd room = {_socket, POLLOUT, 0};  // the kernel says yes when a third of its buffer is free
  return poll(&room, 1, 0) == 1 ? 256 : 0;
}

size_t EthernetClient::write(uint8_t byte) { return write(&byte, 1); }

size_t EthernetClient::write(const uint8_t *buf, size_t size) {
  ssize_t sent = send(_socket, buf, size, MSG_NOSIGNAL);
  return sent > 0 ? sent : 0;
}

int EthernetClient::available() {
  int bytes = 0;
  return _socket >= 0 && ioctl(_socket, FIONREAD, &bytes) == 0 ? bytes : 0;
}

int EthernetClient::read() {
  uint8_t byte;
  return read(&byte, 1) == 1 ? byte : -1;
}

int EthernetClient::read(uint8_t *buf, size_t size) { return recv(_socket, buf, size, 0); }

int EthernetClient::peek() {
  uint8_t byte;
  return recv(_socket, &byte, 1, MSG_PEEK) == 1 ? byte : -1;
}

void EthernetClient::flush() {}

void EthernetClient::stop() {
  if (_socket >= 0) close(_socket);
  _socket = -1;
}

uint8_t EthernetClient::connected() {
  if (_socket < 0) return 0;
  if (available()) return 1;
  uint8_t byte;
  ssize_t got = recv(_socket, &byte, 1, MSG_PEEK);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}
