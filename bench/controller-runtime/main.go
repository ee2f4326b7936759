// Command controller-runtime is an operator for OcEssentialService objects on sigs.k8s.io/controller-runtime,
// for `cargo xtask bench --against controller-runtime`. It is what one would write in a day: it does the main
// job, from a lead to a licensed service, and nothing else.
//
// It handles objects with spec.msTenantId and `mode: Apply`. It makes no channels, no IP groups and no
// deletions on the platform: an object with `deletionPolicy: Delete` keeps its finalizer. A change of the
// LivePlatform or of its Secret takes a restart.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// The LivePlatform that is used.
const platformName = "default"

var scheme = runtime.NewScheme()

func init() {
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(addToScheme(scheme))
}

func main() {
	ctrl.SetLogger(zap.New())
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		ctrl.Log.Error(err, "the operator ends")
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	address := os.Getenv("PLATFORM_URL")
	if address == "" {
		return errors.New("PLATFORM_URL is not set")
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	// No limit in the client: the API server limits by its own priorities and fairness. client-go's default of
	// 5 requests a second would be all that a benchmark sees.
	config.QPS = -1
	spec, secret, err := settings(ctx, config)
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		// Nothing here reads who wrote which field, and it is a good part of an object in memory.
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		// Any free port: the default may be taken on the machine of a benchmark.
		Metrics: metricsserver.Options{BindAddress: "127.0.0.1:0"},
	})
	if err != nil {
		return err
	}
	reconciler := &Reconciler{
		Client:   mgr.GetClient(),
		Live:     mgr.GetAPIReader(),
		Recorder: mgr.GetEventRecorder("controller-runtime-operator"),
		Platform: NewPlatform(address, spec, secret),
		Interval: spec.ObserveInterval.Duration,
		Grace:    spec.CreateGrace.Duration,
		changed:  make(chan event.GenericEvent),
	}
	// As many workers as the platform takes calls at once: a worker mostly waits for it or for the API server.
	if err := reconciler.SetupWithManager(mgr, spec.Requests.InFlight); err != nil {
		return err
	}
	if err := mgr.Add(manager.RunnableFunc(reconciler.Observe)); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// settings reads the LivePlatform and the client secret. It is not the manager's client: that one would
// list and watch the kinds, and the chart's rights allow only single Secrets to be read.
func settings(ctx context.Context, config *rest.Config) (*LivePlatformSpec, string, error) {
	direct, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, "", err
	}
	var platform LivePlatform
	if err := direct.Get(ctx, types.NamespacedName{Name: platformName}, &platform); err != nil {
		return nil, "", err
	}
	ref := platform.Spec.Authentication.Entra.ClientSecretRef
	var secret corev1.Secret
	if err := direct.Get(ctx, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}, &secret); err != nil {
		return nil, "", err
	}
	value, found := secret.Data[ref.Key]
	if !found {
		return nil, "", fmt.Errorf("the Secret %s/%s has no key %s", ref.Namespace, ref.Name, ref.Key)
	}
	return &platform.Spec, string(value), nil
}
