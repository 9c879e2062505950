package linkem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const tunPath = "/dev/net/tun"

// open makes the namespace, unless it is another's, and a device in each of the two; it leaves nothing
// behind if it fails.
func (t *Tunnel) open(ctx context.Context, clientDevice, serverDevice string) (client, server *os.File, err error) {
	if err := available(); err != nil {
		return nil, nil, err
	}
	if !t.joined {
		if err := ip(ctx, "netns add "+t.Namespace); err != nil {
			return nil, nil, fmt.Errorf("%w (left over? ip netns delete %s)", err, t.Namespace)
		}
	}
	defer func() {
		if err != nil {
			for _, d := range []*os.File{client, server} {
				if d != nil {
					_ = d.Close()
				}
			}
			if !t.joined {
				_ = t.remove()
			}
		}
	}()
	inside := make(chan opened)
	go runInside(t.Namespace, clientDevice, inside)
	first := <-inside
	if client, err = first.device, first.err; err != nil {
		return client, nil, fmt.Errorf("device in %s: %w", t.Namespace, err)
	}
	if server, err = openTUN(serverDevice); err != nil {
		return client, server, fmt.Errorf("device %s: %w", serverDevice, err)
	}
	for _, args := range t.setup(clientDevice, serverDevice) {
		if err = ip(ctx, args); err != nil {
			return client, server, err
		}
	}
	if err = onlyFromClient(serverDevice); !t.joined {
		err = nil // only two tunnels need it
	}
	return client, server, err
}

// setup is what ip(8) has to be told.
func (t *Tunnel) setup(clientDevice, serverDevice string) []string {
	in := "-n " + t.Namespace + " "
	commands := []string{
		in + "link set lo up",
		// No IPv6 address of the link's own and no groups: neighbour discovery and IGMP would be counted.
		in + "link set " + clientDevice + " addrgenmode none multicast off",
		in + "link set " + clientDevice + " mtu 1500 txqueuelen 1000 up",
		in + fmt.Sprintf("addr add %v peer %v dev %s", t.Client, t.Server, clientDevice),
		"link set " + serverDevice + " addrgenmode none multicast off",
		"link set " + serverDevice + " mtu 1500 txqueuelen 1000 up",
		fmt.Sprintf("addr add %v peer %v dev %s", t.Server, t.Client, serverDevice),
	}
	if !t.joined {
		commands = append(commands, in+"route add default dev "+clientDevice)
	}
	return commands
}

// onlyFromClient has the kernel drop what comes out of the device from another address than its client's
// (RFC 3704): with two tunnels from one namespace, what went out by one would be answered by the other.
func onlyFromClient(device string) error {
	return os.WriteFile("/proc/sys/net/ipv4/conf/"+device+"/rp_filter", []byte("1"), 0)
}

// remove deletes the namespace, whatever context the tunnel was opened in.
func (t *Tunnel) remove() error { return ip(context.Background(), "netns delete "+t.Namespace) }

// Command returns a command that runs in the client's namespace.
func (t *Tunnel) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", t.Namespace, name}, args...)...)
}

func available() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: only root may make network namespaces", ErrUnavailable)
	}
	if _, err := os.Stat(tunPath); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("%w: %w (Debian: iproute2)", ErrUnavailable, err)
	}
	return nil
}

// opened is what runInside found.
type opened struct {
	device *os.File
	err    error
}

// runInside opens the client's device on a thread that has entered the namespace. It never unlocks the
// thread, so that the runtime ends it with the goroutine and nothing else runs in there.
func runInside(namespace, device string, done chan<- opened) {
	runtime.LockOSThread()
	var o opened
	if o.err = enter(namespace); o.err == nil {
		o.device, o.err = openTUN(device)
	}
	done <- o
}

func enter(namespace string) error {
	fd, err := unix.Open("/run/netns/"+namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Setns(fd, unix.CLONE_NEWNET), unix.Close(fd))
}

// openTUN makes a TUN device in the thread's namespace; it is gone when the file is closed. The file
// is not blocking, so that the runtime's poller gives it deadlines.
func openTUN(name string) (*os.File, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), tunPath), nil
}

// ip runs one command of ip(8).
func ip(ctx context.Context, args string) error {
	out, err := exec.CommandContext(ctx, "ip", strings.Fields(args)...).CombinedOutput()
	if err == nil {
		return nil
	}
	out = bytes.TrimSpace(out)
	if bytes.Contains(out, []byte("not permitted")) { // root, but in a container without CAP_NET_ADMIN or CAP_SYS_ADMIN
		return fmt.Errorf("%w: ip %s: %s", ErrUnavailable, args, out)
	}
	return fmt.Errorf("ip %s: %w: %s", args, err, out)
}
