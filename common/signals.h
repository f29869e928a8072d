/* Which signals a program may take note of. */
#ifndef COMMON_SIGNALS_H
#define COMMON_SIGNALS_H

#include <signal.h>

/*
 * Those of the `n` signals that nobody told this process to ignore, as nohup(1) does. To be asked
 * before they are blocked for a signalfd(2): a blocked signal is delivered there even when it is
 * ignored.
 */
void signals_heeded(const int *signals, unsigned n, sigset_t *ret);

#endif
