// Serve runs one of the yardsticks on a machine of one's own:
//
//	serve [flags] plainpion | floor
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/bedside-video/bedside/bench/yardstick"
	"github.com/bedside-video/bedside/bench/yardstick/floor"
	"github.com/bedside-video/bedside/bench/yardstick/plainpion"
)

// socketBytes are the buffers of the UDP socket, for both servers alike.
const socketBytes = 8 << 20

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. Its first line says where.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	web := flags.String("http", "127.0.0.1:0", "address for WHIP and WHEP")
	media := flags.String("udp", "127.0.0.1:0", "address for media; not an unspecified one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	socket, err := listen(*media)
	if err != nil {
		return err
	}
	s, err := start(flags.Arg(0), socket)
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	l, err := net.Listen("tcp", *web)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	h := yardstick.NewHandler(s)
	front := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := context.AfterFunc(ctx, func() { _ = front.Close() })
	defer done()
	if _, err := fmt.Fprintf(out, "http://%s\n", l.Addr()); err != nil {
		return errors.Join(err, l.Close(), s.Close())
	}
	if err = front.Serve(l); errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, h.Close(), s.Close())
}

func listen(at string) (*net.UDPConn, error) {
	address, err := net.ResolveUDPAddr("udp4", at)
	if err != nil {
		return nil, fmt.Errorf("--udp: %w", err)
	}
	socket, err := net.ListenUDP("udp4", address)
	if err != nil {
		return nil, fmt.Errorf("--udp: %w", err)
	}
	// As much as the system allows; less only matters under overload.
	_ = socket.SetReadBuffer(socketBytes)
	_ = socket.SetWriteBuffer(socketBytes)
	return socket, nil
}

// server is a yardstick.
type server interface {
	yardstick.Server
	io.Closer
}

func start(which string, socket *net.UDPConn) (server, error) {
	switch which {
	case "plainpion":
		return plainpion.New(plainpion.Config{Socket: socket})
	case "floor":
		return floor.New(floor.Config{Socket: socket, Now: time.Now, Rand: rand.Reader})
	}
	return nil, fmt.Errorf("%q: say plainpion or floor", which)
}
