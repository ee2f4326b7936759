// Command control-plane is a Kubernetes control plane in one process, for tests and for the demo: etcd, kube-apiserver, and
// the few controllers without which a namespace never goes away. It is the real code of each, only started differently:
// nothing is simulated, RBAC is on, every request is in the audit log. Nodes, pods and the network do not exist.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

const usage = `A Kubernetes control plane in one process, for tests and for the demo.

Usage:
  control-plane serve --dir DIR [--port PORT] [--until-stdin-closes]

It prints one line, "READY <path of the kubeconfig>", when it can be used, and ends on SIGTERM or SIGINT.

In DIR it keeps:
  admin.kubeconfig     for a member of system:masters
  audit.log            one JSON line for each request, Metadata level, but for its own components
  control-plane.log    what etcd, the API server and the controllers have to say
  etcd/, pki/          the data and the keys; a later run in the same DIR goes on from them

Options:
`

// How long a clean end may take. Everything of value is in the etcd log by then, so what is cut off is idle connections.
const stopGrace = 3 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "control-plane:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("control-plane", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dir := flags.String("dir", "", "folder for data, keys and logs; it is made when missing (required)")
	port := flags.Int("port", 0, "port on 127.0.0.1; 0 takes a free one")
	untilStdinCloses := flags.Bool("until-stdin-closes", false, "also end when stdin reaches its end, so that a killed parent leaves nothing behind")

	err := flag.ErrHelp
	switch {
	case len(args) == 0 || slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]):
	case args[0] != "serve":
		return fmt.Errorf("unknown command %q, try --help", args[0])
	default:
		err = flags.Parse(args[1:])
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		return nil
	case err != nil:
		return fmt.Errorf("%w, try --help", err)
	case *dir == "" || flags.NArg() > 0:
		return errors.New("serve needs --dir and takes no other arguments, try --help")
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if *untilStdinCloses {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	return serve(ctx, *dir, *port)
}

// serve runs the control plane in dir until ctx is done, or until a part of it fails.
func serve(ctx context.Context, dir string, port int) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "pki"), 0o700); err != nil {
		return err
	}
	// A unix socket's path may have about 100 bytes, and a test's folder is often deeper than that: name it from here.
	if err := os.Chdir(dir); err != nil {
		return err
	}
	logFile, err := os.OpenFile("control-plane.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	logTo(logFile)
	defer klog.Flush()

	// Bound before anything else, and handed over open: there is no moment in which somebody else could take the port.
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	defer listener.Close()

	keys, err := loadKeys("pki")
	if err != nil {
		return err
	}
	etcd, err := startEtcd("etcd", "etcd.sock", "control-plane.log")
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer etcd.Close()

	server, err := prepareAPIServer(listener, keys, "unix://etcd.sock", "audit.log")
	if err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- server.run(ctx) }()
	go func() {
		err := server.waitUntilReady(ctx)
		if err == nil {
			err = startControllers(ctx, server.config(keys.controllersToken))
		}
		if err == nil {
			path := filepath.Join(dir, "admin.kubeconfig")
			if err = server.writeKubeconfig(path, keys.adminToken); err == nil {
				fmt.Println("READY", path)
				return
			}
		}
		if ctx.Err() == nil {
			ended <- err
		}
	}()

	select {
	case err := <-ended:
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("ended by itself, see %s: %w", filepath.Join(dir, "control-plane.log"), err)
	case <-ctx.Done():
	case err := <-etcd.Err():
		return fmt.Errorf("etcd: %w", err)
	}
	select {
	case <-ended:
	case <-time.After(stopGrace):
	}
	return nil
}

// logTo sends all that Kubernetes logs to a file, and nothing to stderr, where klog would repeat the errors. Those are mostly about the
// normal disorder of a start; an error that matters ends the process, and is its last word.
func logTo(file io.Writer) {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL"} {
		_ = flags.Set(name, value)
	}
	klog.SetOutput(file)
}
