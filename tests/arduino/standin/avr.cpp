// The stand-in of the Ethernet library on AVR: nothing but its interface.
#include <Ethernet.h>

EthernetClass Ethernet;
int EthernetClass::begin(uint8_t *, unsigned long, unsigned long) { return 1; }
void EthernetClass::begin(uint8_t *, IPAddress, IPAddress, IPAddress, IPAddress) {}
int EthernetClass::maintain() { return 0; }
void EthernetClass::setRetransmissionTimeout(uint16_t) {}
void EthernetClass::setRetransmissionCount(uint8_t) {}

int EthernetClient::connect(IPAddress, uint16_t) { return ++_socket; }
int EthernetClient::connect(const char *, uint16_t) { return 0; }
int EthernetClient::availableForWrite() { return 0; }
size_t EthernetClient::write(uint8_t) { return 1; }
size_t EthernetClient::write(const uint8_t *, size_t size) { return size; }
int EthernetClient::available() { return 0; }
int EthernetClient::read() { return -1; }
int EthernetClient::read(uint8_t *, size_t) { return -1; }
int EthernetClient::peek() { return -1; }
void EthernetClient::flush() {}
void EthernetClient::stop() { _socket = -1; }
uint8_t EthernetClient::connected() { return _socket >= 0; }
