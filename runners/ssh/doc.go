// Package ssh runs probes, changes and captures on nodes over SSH.
//
// A Pool keeps one authenticated connection per node and sends everything that
// is asked of a node at once as one constant script in one exec, so a stage
// costs two round trips however many probes it has. The script frames the
// output of every probe with a marker that is random per exec, and each
// privileged command in it is its own `sudo -n`, so a sudoers allow-list is
// enough.
//
// # Configuration
//
// The OpenSSH client config says how a node is reached: Host and Match host
// blocks, HostName, Port, User, IdentityFile, IdentitiesOnly, ProxyJump,
// HostKeyAlias, UserKnownHostsFile and GlobalKnownHostsFile, with the tokens
// %%, %d, %h, %n, %p and %r. It differs from ssh(1) on purpose:
//
//   - a relative path is relative to the config file's directory;
//   - StrictHostKeyChecking is always yes, whatever the file says: a host whose
//     key is not in known_hosts is not spoken to;
//   - only public keys are offered, from files and from the agent;
//   - ProxyCommand is refused, because it would start a local program;
//   - the system-wide /etc/ssh/ssh_config is not read, except for the default
//     GlobalKnownHostsFile.
//
// # Time limits
//
// Dialling, the handshake with authentication, each exec and each command on
// the node have their own limits, and the caller's context bounds the whole.
// The hint of a time-out names the limit that passed. timeout(1) on the node
// bounds each command. What sudo started is stopped through sudo; a command
// that ignores SIGTERM outlives it, for only root can kill it. The script then
// gives it up and ends, and the probes after it are reported as not run.
// `Defaults:USER command_timeout=60` in sudoers ends such a command too.
package ssh
