/*
 * What was ignored when the program was started stays ignored: who ran it with nohup(1) wants it to
 * outlive the terminal.
 */
#include "common/signals.h"

#include <stddef.h>

void signals_heeded(const int *signals, unsigned n, sigset_t *ret)
{
	struct sigaction a;

	sigemptyset(ret);
	for (unsigned i = 0; i < n; i++)
		if (sigaction(signals[i], NULL, &a) == 0 && a.sa_handler != SIG_IGN)
			sigaddset(ret, signals[i]);
}
