/* The program. Everything is in the library, so that tests and fuzzers can link it. */
#include "l2tund/run.h"

int main(int argc, char **argv)
{
	return run_main(argc, argv);
}
