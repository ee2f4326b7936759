package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keys are the secrets of one control plane. They are made once for a folder: a second run in it still knows the tokens of the first.
type keys struct {
	dir string
	// Files in the form in which kube-apiserver reads them.
	tokenFile, serviceAccountFile, authenticationFile string
	adminToken, controllersToken                      string
}

// Anonymous requests may ask whether the server is well, as probes do, and nothing else.
const authentication = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions: [{path: /livez}, {path: /readyz}, {path: /healthz}]
`

func loadKeys(dir string) (*keys, error) {
	k := &keys{
		dir:                dir,
		tokenFile:          filepath.Join(dir, "tokens.csv"),
		serviceAccountFile: filepath.Join(dir, "service-account.key"),
		authenticationFile: filepath.Join(dir, "authentication.yaml"),
	}
	if err := os.WriteFile(k.authenticationFile, []byte(authentication), 0o600); err != nil {
		return nil, err
	}
	if err := makeOnce(k.serviceAccountFile, newServiceAccountKey); err != nil {
		return nil, err
	}
	if err := makeOnce(k.tokenFile, newTokens); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(k.tokenFile)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		switch token, rest, _ := strings.Cut(line, ","); {
		case strings.HasPrefix(rest, adminUser+","):
			k.adminToken = token
		case strings.HasPrefix(rest, controllersUser+","):
			k.controllersToken = token
		}
	}
	if k.adminToken == "" || k.controllersToken == "" {
		return nil, fmt.Errorf("%s names no %s or no %s; delete it to have a new one", k.tokenFile, adminUser, controllersUser)
	}
	return k, nil
}

func makeOnce(path string, content func() ([]byte, error)) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	bytes, err := content()
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes, 0o600)
}

// The controllers have a user of their own so that the audit log can tell them from a test that acts as admin.
const (
	adminUser       = "admin"
	controllersUser = "system:kube-controller-manager"
)

func newTokens() ([]byte, error) {
	return fmt.Appendf(nil, "%s,%s,%[2]s,system:masters\n%s,%s,%[4]s,system:masters\n",
		rand.Text(), adminUser, rand.Text(), controllersUser), nil
}

func newServiceAccountKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
