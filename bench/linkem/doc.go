// Package linkem puts emulated links between real clients and a server, without netem. What befalls a
// packet is decided in package link, which reads no clock and starts nothing. Before it stand Conn,
// which puts a client's UDP socket behind two links, and Tunnel, which puts a whole network namespace
// behind them (Linux, root). Both can be changed while they run.
package linkem
