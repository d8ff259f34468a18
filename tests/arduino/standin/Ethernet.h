// Stand-in for the Arduino Ethernet library (2.0.2), which no package registry has: the part of its interface that our
// sketches use, in its own words. On AVR it leads nowhere (avr.cpp) and shows that sketches compile and how large they
// are without it; on the host (host/client.cpp) it is a TCP connection.
#pragma once

#include <Arduino.h>
#include <Client.h>
#include <IPAddress.h>

class EthernetClass {
 public:
  static int begin(uint8_t *mac, unsigned long timeout = 60000, unsigned long responseTimeout = 4000);
  static void begin(uint8_t *mac, IPAddress ip, IPAddress dns, IPAddress gateway, IPAddress subnet);
  static int maintain();
  void setRetransmissionTimeout(uint16_t milliseconds);
  void setRetransmissionCount(uint8_t num);
};

extern EthernetClass Ethernet;

class EthernetClient : public Client {
 public:
  EthernetClient() : _socket(-1), _timeout(1000) {}
  int connect(IPAddress ip, uint16_t port) override;
  int connect(const char *host, uint16_t port) override;
  int availableForWrite() override;
  size_t write(uint8_t) override;
  size_t write(const uint8_t *buf, size_t size) override;
  int available() override;
  int read() override;
  int read(uint8_t *buf, size_t size) override;
  int peek() override;
  void flush() override;
  void stop() override;
  uint8_t connected() override;
  operator bool() override { return _socket >= 0; }
  virtual void setConnectionTimeout(uint16_t timeout) { _timeout = timeout; }
  using Print::write;

 private:
  int _socket;
  uint16_t _timeout;
};
