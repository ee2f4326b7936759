package main

import (
	"errors"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// startEtcd starts a cluster of one member, on a unix socket: no port to choose, and nobody but this user can connect.
func startEtcd(dataDir, socket, logFile string) (*embed.Etcd, error) {
	config := embed.NewConfig()
	config.Dir = dataDir
	config.ListenClientUrls = []url.URL{{Scheme: "unix", Host: socket}}
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = []url.URL{{Scheme: "unix", Host: "peer-" + socket}}
	config.AdvertisePeerUrls = config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	// The data of a test need not survive a power cut (they do survive a kill), and an fsync is most of what a write costs.
	config.UnsafeNoFsync = true
	// There is nobody to elect but oneself: the default second of waiting is a third of the whole start.
	config.TickMs, config.ElectionMs = 10, 100
	// Only the API server is a client; gateway and metrics would be weight.
	config.EnableGRPCGateway = false
	config.LogLevel = "warn"
	config.LogOutputs = []string{logFile}

	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, err
	case <-time.After(20 * time.Second):
		etcd.Close()
		return nil, errors.New("not ready after 20 s")
	}
}
