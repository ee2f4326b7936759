package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// auditPolicy logs who asked for what and what came of it, for everybody but the control plane itself. A request is one line,
// and a watch has one more when it starts, so that it can be counted while it runs.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: None
  users: ["system:apiserver", "system:kube-controller-manager"]
- level: None
  nonResourceURLs: ["/livez*", "/readyz*", "/healthz*"]
- level: Metadata
`

type apiServer struct {
	options options.CompletedOptions
	url     string
	// ca is the certificate, in PEM, by which a client knows the server.
	ca          []byte
	healthToken string
}

// prepareAPIServer makes the keys and the configuration; nothing runs before run.
func prepareAPIServer(listener net.Listener, keys *keys, etcdURL, auditLog string) (*apiServer, error) {
	policy := filepath.Join(keys.dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	address := listener.Addr().(*net.TCPAddr)

	opts := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range opts.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	err := flags.Parse([]string{
		"--etcd-servers=" + etcdURL,
		"--cert-dir=" + keys.dir,
		"--authorization-mode=RBAC",
		"--token-auth-file=" + keys.tokenFile,
		"--authentication-config=" + keys.authenticationFile,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file=" + keys.serviceAccountFile,
		"--service-account-key-file=" + keys.serviceAccountFile,
		"--service-cluster-ip-range=10.96.0.0/16",
		"--audit-policy-file=" + policy,
		"--audit-log-path=" + auditLog,
		// 0 is no rotation: readers remember a place in the file by its offset.
		"--audit-log-maxsize=0",
		// A loopback address cannot be an endpoint of the service "kubernetes", and there is no pod to use it.
		"--endpoint-reconciler-type=none",
		"--profiling=false",
		// Benchmarks shall measure the operator, not wait for their turn.
		"--max-requests-inflight=4000",
		"--max-mutating-requests-inflight=2000",
	})
	if err != nil {
		return nil, err
	}
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindPort = address.Port
	opts.SecureServing.BindAddress = address.IP
	opts.SecureServing.ExternalAddress = address.IP

	// From here on as kube-apiserver's own command does it, which cannot be used itself: it handles the signals and the logs.
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return nil, err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := opts.Complete(context.Background())
	if err != nil {
		return nil, err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return nil, errors.Join(errs...)
	}
	ca, err := lastCertificate(completed.SecureServing.ServerCert.CertKey.CertFile)
	if err != nil {
		return nil, err
	}
	return &apiServer{options: completed, url: "https://" + address.String(), ca: ca, healthToken: keys.controllersToken}, nil
}

func (s *apiServer) run(ctx context.Context) error {
	return app.Run(ctx, s.options)
}

// config connects with the rights of token. There is no rate limit: the server's own priority and fairness decides.
func (s *apiServer) config(token string) *rest.Config {
	return &rest.Config{
		Host:            s.url,
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: s.ca},
		QPS:             -1,
		Timeout:         0,
	}
}

// waitUntilReady returns when all the server's own checks pass and the namespaces exist that everybody takes for granted.
// The server makes those in the background, after it calls itself ready.
func (s *apiServer) waitUntilReady(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(s.config(s.healthToken))
	if err != nil {
		return err
	}
	ready := func() error {
		if _, err := client.RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
			return err
		}
		for _, name := range []string{"default", "kube-system"} {
			if _, err := client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready after a minute: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *apiServer) writeKubeconfig(path, token string) error {
	const name = "control-plane"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: s.url, CertificateAuthorityData: s.ca}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: "admin", Namespace: "default"}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, path)
}

// lastCertificate of the file that kube-apiserver makes is the authority that signed the first one. Strict clients (rustls) want
// that one alone, not the server's own beside it.
func lastCertificate(path string) ([]byte, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var last bytes.Buffer
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		last.Reset()
		if err := pem.Encode(&last, block); err != nil {
			return nil, err
		}
	}
	if last.Len() == 0 {
		return nil, fmt.Errorf("no certificate in %s", path)
	}
	return last.Bytes(), nil
}
