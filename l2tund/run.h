/* From the command line to the running daemon and back. */
#ifndef L2TUND_RUN_H
#define L2TUND_RUN_H

#define RUN_CONFIG "/etc/l2tund/l2tund.conf"

/* The whole program; its exit status: 0, 1 cannot start or bad configuration, 2 usage. */
int run_main(int argc, char **argv);

#endif
