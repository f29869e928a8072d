/* The handlers that the rows of cmd_table.c name; one file per command or group of commands. */
#ifndef BRIDGECTL_CMD_CMDS_H
#define BRIDGECTL_CMD_CMDS_H

#include "bridgectl/cmd.h"

enum exit_code cmd_status(struct cmd_call *call);
enum exit_code cmd_check(struct cmd_call *call);
enum exit_code cmd_tunnel_list(struct cmd_call *call);
enum exit_code cmd_tunnel_show(struct cmd_call *call);
enum exit_code cmd_tunnel_up(struct cmd_call *call);
enum exit_code cmd_tunnel_down(struct cmd_call *call);
enum exit_code cmd_tunnel_clear(struct cmd_call *call);
enum exit_code cmd_tunnel_why(struct cmd_call *call);
enum exit_code cmd_bridge_list(struct cmd_call *call);
enum exit_code cmd_bridge_show(struct cmd_call *call);
enum exit_code cmd_bridge_fdb(struct cmd_call *call);
enum exit_code cmd_announce(struct cmd_call *call);
enum exit_code cmd_peer_list(struct cmd_call *call);
enum exit_code cmd_peer_show(struct cmd_call *call);
enum exit_code cmd_domain_autostart(struct cmd_call *call);
enum exit_code cmd_domain_console(struct cmd_call *call);
enum exit_code cmd_domain_convert(struct cmd_call *call);
enum exit_code cmd_domain_prepare(struct cmd_call *call);
enum exit_code cmd_domain_define(struct cmd_call *call);
enum exit_code cmd_domain_diff(struct cmd_call *call);
enum exit_code cmd_domain_fixup(struct cmd_call *call);
enum exit_code cmd_domain_list(struct cmd_call *call);
enum exit_code cmd_domain_mac(struct cmd_call *call);
enum exit_code cmd_domain_migrate(struct cmd_call *call);
enum exit_code cmd_domain_finish(struct cmd_call *call);
enum exit_code cmd_domain_show(struct cmd_call *call);
enum exit_code cmd_domain_start(struct cmd_call *call);
enum exit_code cmd_domain_stop(struct cmd_call *call);
enum exit_code cmd_disk_copy(struct cmd_call *call);
enum exit_code cmd_disk_verify(struct cmd_call *call);
enum exit_code cmd_disk_status(struct cmd_call *call);
enum exit_code cmd_disk_finish(struct cmd_call *call);
enum exit_code cmd_disk_rate(struct cmd_call *call);
enum exit_code cmd_disk_stop(struct cmd_call *call);
enum exit_code cmd_topology(struct cmd_call *call);
enum exit_code cmd_events(struct cmd_call *call);
enum exit_code cmd_disk_create(struct cmd_call *call);
enum exit_code cmd_disk_grow(struct cmd_call *call);
enum exit_code cmd_disk_layout(struct cmd_call *call);
enum exit_code cmd_reload(struct cmd_call *call);
enum exit_code cmd_log(struct cmd_call *call);
enum exit_code cmd_keygen(struct cmd_call *call);
enum exit_code cmd_pubkey(struct cmd_call *call);
enum exit_code cmd_genpsk(struct cmd_call *call);
enum exit_code cmd_agent_source(struct cmd_call *call);
enum exit_code cmd_agent_target(struct cmd_call *call);
enum exit_code cmd_agent_pipe(struct cmd_call *call);
enum exit_code cmd_completion(struct cmd_call *call);
enum exit_code cmd_help(struct cmd_call *call);

#endif
