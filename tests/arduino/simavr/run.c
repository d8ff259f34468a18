// Runs a program for a board (its ELF file, for an ATmega2560 at 16 MHz) on simavr, with the board's second serial line
// as a TCP connection to 127.0.0.1. What it says on the first one is printed; a line "done" ends the run. Prints then how
// many bytes of stack were in use at most.
//   run FILE PORT
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>

static int server, may_send, done;
static char line[200];
static size_t length;

static void say(struct avr_irq_t *irq, uint32_t byte, void *unused) {
  (void)irq, (void)unused;
  if (byte != '\n' && length < sizeof line - 1) {
    if (byte != '\r') line[length++] = byte;
    return;
  }
  line[length] = 0;
  length = 0;
  if (!strcmp(line, "done")) done = 1;
  else puts(line);
}

static void transmit(struct avr_irq_t *irq, uint32_t byte, void *unused) {
  (void)irq, (void)unused;
  char out = byte;
  if (send(server, &out, 1, MSG_NOSIGNAL) != 1) perror("send"), exit(1);
}

static void ready(struct avr_irq_t *irq, uint32_t value, void *is) {
  (void)irq, (void)value;
  may_send = is != NULL;
}

static avr_irq_t *uart(avr_t *avr, char which, int irq) {
  uint32_t flags = 0;  // neither echo on the terminal nor sleep
  avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS(which), &flags);
  return avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ(which), irq);
}

int main(int count, char **words) {
  elf_firmware_t firmware = {0};
  if (count != 3 || elf_read_firmware(words[1], &firmware)) return 2;
  avr_t *avr = avr_make_mcu_by_name("atmega2560");
  if (!avr) return 2;
  avr_init(avr);
  firmware.frequency = 16000000;
  avr_load_firmware(avr, &firmware);

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[2]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  server = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(server, (struct sockaddr *)&address, sizeof address)) return perror("connect"), 1;
  fcntl(server, F_SETFL, O_NONBLOCK);

  avr_irq_register_notify(uart(avr, '0', UART_IRQ_OUTPUT), say, NULL);
  avr_irq_register_notify(uart(avr, '1', UART_IRQ_OUTPUT), transmit, NULL);
  avr_irq_register_notify(uart(avr, '1', UART_IRQ_OUT_XON), ready, &may_send);
  avr_irq_register_notify(uart(avr, '1', UART_IRQ_OUT_XOFF), ready, NULL);
  avr_irq_t *input = uart(avr, '1', UART_IRQ_INPUT);

  unsigned lowest = avr->ramend;
  for (unsigned turn = 0; !done; turn++) {
    int state = avr_run(avr);
    if (state == cpu_Done || state == cpu_Crashed) return fprintf(stderr, "the processor stopped\n"), 1;
    unsigned stack = avr->data[R_SPL] | avr->data[R_SPH] << 8;
    if (stack && stack < lowest) lowest = stack;
    if (may_send && turn % 1000 == 0) {
      char in;
      ssize_t got = recv(server, &in, 1, 0);
      if (got == 1) avr_raise_irq(input, (unsigned char)in);
      if (got == 0) may_send = 0;
    }
  }
  printf("stack=%u\n", avr->ramend - lowest);
  return 0;
}
