/* bridgectl: shows and steers l2tund. Everything is in the library, so that tests can link it. */
#include "bridgectl/cmd.h"

int main(int argc, char **argv)
{
	return cmd_main(argc, argv);
}
