package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

// How soon the garbage collector learns of a new kind. In kube-controller-manager it is 30 s, which no test wants to wait for.
const discoveryPeriod = 2 * time.Second

// startControllers starts those parts of kube-controller-manager whose absence an operator would notice: deleted namespaces go,
// owned objects follow their owner, each namespace has its default service account, aggregated cluster roles are filled.
// They are started by hand because the manager around them would link every other controller and every volume driver.
func startControllers(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactory(client, 0)
	sharedMetadata := metadatainformer.NewSharedInformerFactory(metadataClient, 0)
	started := make(chan struct{})

	namespaces := namespace.NewNamespaceController(ctx, client, metadataClient, client.Discovery().ServerPreferredNamespacedResources,
		shared.Core().V1().Namespaces(), 5*time.Minute, corev1.FinalizerKubernetes)

	serviceAccounts, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx), shared.Core().V1().ServiceAccounts(),
		shared.Core().V1().Namespaces(), client, serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return err
	}

	roles := clusterroleaggregation.NewClusterRoleAggregation(shared.Rbac().V1().ClusterRoles(), client.RbacV1())

	// Its mapper has a cache of its own: Sync finds new kinds by comparing it with what the server says now.
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	garbage, err := garbagecollector.NewGarbageCollector(ctx, client, metadataClient, mapper,
		garbagecollector.DefaultIgnoredResources(), informerfactory.NewInformerFactory(shared, sharedMetadata), started)
	if err != nil {
		return err
	}

	shared.Start(ctx.Done())
	sharedMetadata.Start(ctx.Done())
	close(started)
	go namespaces.Run(ctx, 10)
	go serviceAccounts.Run(ctx, 1)
	go roles.Run(ctx, 1)
	go garbage.Run(ctx, 10, 30*time.Second)
	go garbage.Sync(ctx, client.Discovery(), discoveryPeriod)
	return nil
}
