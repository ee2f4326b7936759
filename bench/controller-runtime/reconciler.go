package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const (
	finalizer           = "operatorconnect.dev/external"
	operationAnnotation = "operatorconnect.dev/operation"

	// A create takes from seconds to minutes: look often at first, and seldom later.
	pollFirst = 2 * time.Second
	pollLater = 15 * time.Second
	pollOften = time.Minute

	typeReady       = "Ready"
	typeReconciling = "Reconciling"
	typeSynced      = "Synced"
)

// Intent is what the annotation says before a create is sent. If its answer is lost, the service is looked
// up, and nothing is sent twice.
type Intent struct {
	Kind  string    `json:"kind"`
	ID    string    `json:"id"`
	Start time.Time `json:"start"`
}

// Reconciler makes services of leads.
type Reconciler struct {
	client.Client
	// Live reads past the cache.
	Live     client.Reader
	Recorder recorder.EventRecorder
	Platform *Platform
	// Interval is the time between two lists of the platform.
	Interval time.Duration
	// Grace is how long a create whose answer was lost may take until it shows.
	Grace time.Duration

	// changed has objects to look at again since the platform has changed.
	changed chan event.GenericEvent
	// ended has the tasks that were seen to succeed and whose services are not yet listed.
	ended sync.Map
}

// SetupWithManager starts the watch. Its own writes change no generation, and so cause no reconciliation.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&OcEssentialService{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Channel(r.changed, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// Reconcile does the next step for an object.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	service := &OcEssentialService{}
	if err := r.Get(ctx, req.NamespacedName, service); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	result, err := r.step(ctx, service)
	if apierrors.IsConflict(err) {
		// The cache was behind. It will have caught up by then.
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	return result, err
}

func (r *Reconciler) step(ctx context.Context, service *OcEssentialService) (ctrl.Result, error) {
	if !service.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.release(ctx, service)
	}
	if service.Spec.MsTenantID == "" || service.Spec.Suspend || service.Spec.Mode == "Plan" || service.Spec.Mode == "Observe" {
		return ctrl.Result{}, nil
	}
	operation := service.Status.Operation
	switch {
	case service.Status.UmpCustomerGUID != "":
		return r.compare(ctx, service)
	case service.Annotations[operationAnnotation] == "":
		return r.create(ctx, service)
	case operation != nil && operation.Outcome == "Failed" && operation.Generation == service.Generation:
		// A person has to change something first.
		return ctrl.Result{}, nil
	case operation != nil && operation.Outcome == "Failed":
		return r.create(ctx, service)
	case operation != nil && operation.TaskID != "":
		return r.poll(ctx, service)
	default:
		return r.resume(ctx, service)
	}
}

// create asks the platform for the service, after the intent was written.
func (r *Reconciler) create(ctx context.Context, service *OcEssentialService) (ctrl.Result, error) {
	lead, err := r.Platform.LeadOf(ctx, service.Spec.MsTenantID)
	if err != nil {
		return ctrl.Result{}, err
	}
	if lead == nil {
		// Observe sends it here again when there is one.
		return ctrl.Result{}, r.notReady(ctx, service, "LeadNotFound", "The platform has no active lead of this tenant.")
	}
	if lead.UmpCustomerGUID != "" {
		return r.confirm(ctx, service)
	}
	services, err := r.Platform.Services(ctx, listAge)
	if err != nil {
		return ctrl.Result{}, err
	}
	if _, found := services[service.Spec.MsTenantID]; found {
		return r.confirm(ctx, service)
	}
	intent := Intent{Kind: "Create", ID: string(uuid.NewUUID()), Start: time.Now().UTC()}
	written, err := json.Marshal(intent)
	if err != nil {
		return ctrl.Result{}, err
	}
	// The lock makes this patch fail if the cache was behind and another intent is there already.
	before := client.MergeFromWithOptions(service.DeepCopy(), client.MergeFromWithOptimisticLock{})
	controllerutil.AddFinalizer(service, finalizer)
	if service.Annotations == nil {
		service.Annotations = make(map[string]string)
	}
	service.Annotations[operationAnnotation] = string(written)
	if err := r.Patch(ctx, service, before); err != nil {
		return ctrl.Result{}, err
	}
	return r.send(ctx, service, intent)
}

// send sends the create of an intent, and writes down its task.
func (r *Reconciler) send(ctx context.Context, service *OcEssentialService, intent Intent) (ctrl.Result, error) {
	spec := &service.Spec
	task, err := r.Platform.Convert(ctx, spec.MsTenantID, spec.ShortName, spec.FullName)
	var status *StatusError
	if errors.As(err, &status) && status.Code/100 == 4 && status.Code != http.StatusRequestTimeout {
		return r.refused(ctx, service, status)
	}
	if err != nil {
		// It may have arrived. The next reconciliation looks for its effect.
		return ctrl.Result{}, err
	}
	log.FromContext(ctx).Info("asked for the service", "tenant", spec.MsTenantID, "task", task)
	started := metav1.NewTime(intent.Start)
	err = r.patchStatus(ctx, service, func(to *OcEssentialServiceStatus) {
		to.Platform, to.MsTenantID = platformName, spec.MsTenantID
		to.Operation = &Operation{Kind: intent.Kind, ID: intent.ID, Generation: service.Generation, StartedTime: &started, TaskID: task}
		setCondition(service, typeReady, metav1.ConditionFalse, "Converting", "The platform converts the lead.")
		setCondition(service, typeReconciling, metav1.ConditionTrue, "Converting", "The platform converts the lead.")
	})
	return ctrl.Result{RequeueAfter: pollFirst}, err
}

// refused takes the intent back: nothing was created. It is tried again, since the reason may pass.
func (r *Reconciler) refused(ctx context.Context, service *OcEssentialService, status *StatusError) (ctrl.Result, error) {
	before := client.MergeFrom(service.DeepCopy())
	delete(service.Annotations, operationAnnotation)
	if err := r.Patch(ctx, service, before); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: time.Minute}, r.notReady(ctx, service, "PlatformRefused", status.Error())
}

// resume goes on with an intent without a result: the create was perhaps sent, and its answer was lost.
func (r *Reconciler) resume(ctx context.Context, service *OcEssentialService) (ctrl.Result, error) {
	// Or the result is there and the cache is behind.
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(service), service); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	operation := service.Status.Operation
	if service.Status.UmpCustomerGUID != "" || operation != nil && operation.TaskID != "" {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	services, err := r.Platform.Services(ctx, listAge)
	if err != nil {
		return ctrl.Result{}, err
	}
	if _, found := services[service.Spec.MsTenantID]; found {
		return r.confirm(ctx, service)
	}
	var intent Intent
	if err := json.Unmarshal([]byte(service.Annotations[operationAnnotation]), &intent); err != nil {
		return ctrl.Result{}, err
	}
	// Its task may still run.
	if time.Since(intent.Start) < r.Grace {
		return ctrl.Result{RequeueAfter: pollLater}, nil
	}
	return r.create(ctx, service)
}

// poll looks at the task, and then for the service.
func (r *Reconciler) poll(ctx context.Context, service *OcEssentialService) (ctrl.Result, error) {
	operation := service.Status.Operation
	if _, ended := r.ended.Load(operation.TaskID); ended {
		return r.confirm(ctx, service)
	}
	task, err := r.Platform.Task(ctx, operation.TaskID)
	if err != nil {
		return ctrl.Result{}, err
	}
	switch {
	case strings.HasPrefix(task.Status, "Completed"):
		r.ended.Store(operation.TaskID, true)
		return r.confirm(ctx, service)
	case strings.HasPrefix(task.Status, "Failed"):
		return ctrl.Result{}, r.failed(ctx, service, task)
	case time.Since(operation.StartedTime.Time) < pollOften:
		return ctrl.Result{RequeueAfter: pollFirst}, nil
	default:
		return ctrl.Result{RequeueAfter: pollLater}, nil
	}
}

// confirm sets the object Ready when the platform lists its service.
func (r *Reconciler) confirm(ctx context.Context, service *OcEssentialService) (ctrl.Result, error) {
	services, err := r.Platform.Services(ctx, listAge)
	if err != nil {
		return ctrl.Result{}, err
	}
	found, listed := services[service.Spec.MsTenantID]
	if !listed {
		// The shared list is from before.
		return ctrl.Result{RequeueAfter: listAge}, nil
	}
	if !matches(service, found) {
		return ctrl.Result{}, r.notReady(ctx, service, "Conflict", "The tenant has a service with another name.")
	}
	if !controllerutil.ContainsFinalizer(service, finalizer) {
		before := client.MergeFromWithOptions(service.DeepCopy(), client.MergeFromWithOptimisticLock{})
		controllerutil.AddFinalizer(service, finalizer)
		if err := r.Patch(ctx, service, before); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.ready(ctx, service, found); err != nil {
		return ctrl.Result{}, err
	}
	if operation := service.Status.Operation; operation != nil {
		r.ended.Delete(operation.TaskID)
	}
	log.FromContext(ctx).Info("the service is there", "tenant", service.Spec.MsTenantID, "service", found.UmpCustomerGUID)
	r.Recorder.Eventf(service, nil, corev1.EventTypeNormal, "Licensed", "Convert",
		"The platform converted the lead of tenant %s to the OC Essential service %s.", service.Spec.MsTenantID, found.UmpCustomerGUID)
	return ctrl.Result{}, nil
}

func (r *Reconciler) ready(ctx context.Context, service *OcEssentialService, found Service) error {
	return r.patchStatus(ctx, service, func(to *OcEssentialServiceStatus) {
		to.Platform, to.MsTenantID = platformName, service.Spec.MsTenantID
		to.ShortName, to.FullName = found.CustomerShortName, found.CustomerFullName
		to.UmpCustomerGUID = found.UmpCustomerGUID
		to.LicenseType = "OC Essential"
		if operation := to.Operation; operation != nil && operation.Outcome == "" {
			now := metav1.Now()
			operation.CompletedTime = &now
			operation.Outcome, operation.OutcomeOf = "Succeeded", operation.ID
			operation.TaskStatus = "CompletedSuccess"
		}
		meta.RemoveStatusCondition(&to.Conditions, typeReconciling)
		setCondition(service, typeSynced, metav1.ConditionTrue, "Succeeded", "The platform lists the service.")
		setCondition(service, typeReady, metav1.ConditionTrue, "Succeeded", "The service exists.")
	})
}

func (r *Reconciler) failed(ctx context.Context, service *OcEssentialService, task *Task) error {
	said := "The task failed."
	for _, message := range task.ExecutionMessages {
		said += " " + message.Level + ": " + message.Message
	}
	return r.patchStatus(ctx, service, func(to *OcEssentialServiceStatus) {
		now := metav1.Now()
		to.Operation.CompletedTime = &now
		to.Operation.Outcome, to.Operation.OutcomeOf = "Failed", to.Operation.ID
		to.Operation.TaskStatus = task.Status
		meta.RemoveStatusCondition(&to.Conditions, typeReconciling)
		setCondition(service, typeReady, metav1.ConditionFalse, "TaskFailed", said)
	})
}

// compare compares an object that has its service with the last list of the platform. It makes no call, so
// that a restart with many objects costs nothing.
func (r *Reconciler) compare(ctx context.Context, service *OcEssentialService) (ctrl.Result, error) {
	services := r.Platform.LastServices()
	if services == nil {
		return ctrl.Result{}, nil
	}
	found, listed := services[service.Spec.MsTenantID]
	switch {
	case !listed && isReady(service):
		return ctrl.Result{}, r.notReady(ctx, service, "DeletedExternally", "The platform no longer lists the service.")
	case listed && !matches(service, found) && isReady(service):
		return ctrl.Result{}, r.notReady(ctx, service, "Conflict", "The tenant has a service with another name.")
	case listed && matches(service, found) && (!isReady(service) || service.Status.ObservedGeneration != service.Generation):
		return ctrl.Result{}, r.ready(ctx, service, found)
	default:
		return ctrl.Result{}, nil
	}
}

func matches(service *OcEssentialService, found Service) bool {
	return strings.EqualFold(found.CustomerShortName, service.Spec.ShortName) && found.CustomerFullName == service.Spec.FullName
}

// Observe lists the platform now and then, and sends the objects to be reconciled that it concerns.
func (r *Reconciler) Observe(ctx context.Context) error {
	ticker := time.NewTicker(r.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := r.observe(ctx); err != nil {
				log.FromContext(ctx).Error(err, "can't list the platform")
			}
		}
	}
}

func (r *Reconciler) observe(ctx context.Context) error {
	services, err := r.Platform.Services(ctx, 0)
	if err != nil {
		return err
	}
	leads, err := r.Platform.ActiveLeads(ctx)
	if err != nil {
		return err
	}
	var objects OcEssentialServiceList
	// They are only read, so no copies are needed.
	if err := r.List(ctx, &objects, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range objects.Items {
		object := &objects.Items[i]
		var concerned bool
		if object.Status.UmpCustomerGUID != "" {
			found, listed := services[object.Spec.MsTenantID]
			concerned = isReady(object) != (listed && matches(object, found)) || object.Status.ObservedGeneration != object.Generation
		} else {
			// It may wait for its lead.
			concerned = object.Annotations[operationAnnotation] == "" && leads[object.Spec.MsTenantID]
		}
		if !concerned {
			continue
		}
		select {
		case r.changed <- event.GenericEvent{Object: object.DeepCopy()}:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// release lets a deleted object go. Its service stays, as `deletionPolicy: Retain` says.
func (r *Reconciler) release(ctx context.Context, service *OcEssentialService) error {
	if service.Spec.DeletionPolicy == "Delete" {
		log.FromContext(ctx).Info("this program deletes no services; the object stays")
		return nil
	}
	before := client.MergeFromWithOptions(service.DeepCopy(), client.MergeFromWithOptimisticLock{})
	if !controllerutil.RemoveFinalizer(service, finalizer) {
		return nil
	}
	return client.IgnoreNotFound(r.Patch(ctx, service, before))
}

func (r *Reconciler) notReady(ctx context.Context, service *OcEssentialService, reason, message string) error {
	return r.patchStatus(ctx, service, func(to *OcEssentialServiceStatus) {
		meta.RemoveStatusCondition(&to.Conditions, typeReconciling)
		meta.RemoveStatusCondition(&to.Conditions, typeSynced)
		setCondition(service, typeReady, metav1.ConditionFalse, reason, message)
	})
}

// patchStatus writes what change changes: the rights allow no update.
func (r *Reconciler) patchStatus(ctx context.Context, service *OcEssentialService, change func(*OcEssentialServiceStatus)) error {
	before := service.DeepCopy()
	service.Status.ObservedGeneration = service.Generation
	change(&service.Status)
	return r.Status().Patch(ctx, service, client.MergeFrom(before))
}

func setCondition(service *OcEssentialService, kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&service.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: service.Generation,
	})
}

func isReady(service *OcEssentialService) bool {
	return meta.IsStatusConditionTrue(service.Status.Conditions, typeReady)
}
