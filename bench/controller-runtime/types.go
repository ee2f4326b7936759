package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "operatorconnect.dev", Version: "v1alpha1"}

// OcEssentialService has the fields that this program uses. All writes are patches of differences, so the
// other fields are left alone.
type OcEssentialService struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   OcEssentialServiceSpec   `json:"spec"`
	Status OcEssentialServiceStatus `json:"status,omitempty"`
}

type OcEssentialServiceSpec struct {
	MsTenantID     string `json:"msTenantId,omitempty"`
	ShortName      string `json:"shortName"`
	FullName       string `json:"fullName"`
	Mode           string `json:"mode,omitempty"`
	Suspend        bool   `json:"suspend,omitempty"`
	DeletionPolicy string `json:"deletionPolicy,omitempty"`
}

type OcEssentialServiceStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Platform           string             `json:"platform,omitempty"`
	MsTenantID         string             `json:"msTenantId,omitempty"`
	ShortName          string             `json:"shortName,omitempty"`
	FullName           string             `json:"fullName,omitempty"`
	LicenseType        string             `json:"licenseType,omitempty"`
	UmpCustomerGUID    string             `json:"umpCustomerGuid,omitempty"`
	Operation          *Operation         `json:"operation,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// Operation is the current operation on the platform, or the outcome of the last one.
type Operation struct {
	Kind          string       `json:"kind"`
	ID            string       `json:"id,omitempty"`
	Generation    int64        `json:"generation,omitempty"`
	StartedTime   *metav1.Time `json:"startedTime,omitempty"`
	TaskID        string       `json:"taskId,omitempty"`
	TaskStatus    string       `json:"taskStatus,omitempty"`
	Outcome       string       `json:"outcome,omitempty"`
	OutcomeOf     string       `json:"outcomeOf,omitempty"`
	CompletedTime *metav1.Time `json:"completedTime,omitempty"`
}

type OcEssentialServiceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []OcEssentialService `json:"items"`
}

// LivePlatform is the connection. Only main reads it.
type LivePlatform struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec LivePlatformSpec `json:"spec"`
}

type LivePlatformSpec struct {
	Authentication struct {
		Entra struct {
			TenantID        string `json:"tenantId"`
			ClientID        string `json:"clientId"`
			Scope           string `json:"scope"`
			TokenURL        string `json:"tokenUrl"`
			ClientSecretRef struct {
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
				Key       string `json:"key"`
			} `json:"clientSecretRef"`
		} `json:"entra"`
	} `json:"authentication"`
	ObserveInterval metav1.Duration `json:"observeInterval"`
	CreateGrace     metav1.Duration `json:"createGrace"`
	Requests        struct {
		PerSecond int `json:"perSecond"`
		Burst     int `json:"burst"`
		InFlight  int `json:"inFlight"`
	} `json:"requests"`
}

type LivePlatformList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LivePlatform `json:"items"`
}

func addToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(groupVersion, &OcEssentialService{}, &OcEssentialServiceList{}, &LivePlatform{}, &LivePlatformList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	return nil
}

// What controller-gen would generate.

func (in *OcEssentialService) DeepCopyInto(out *OcEssentialService) {
	*out = *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	in.Status.DeepCopyInto(&out.Status)
}

func (in *OcEssentialService) DeepCopy() *OcEssentialService {
	out := new(OcEssentialService)
	in.DeepCopyInto(out)
	return out
}

func (in *OcEssentialService) DeepCopyObject() runtime.Object { return in.DeepCopy() }

func (in *OcEssentialServiceStatus) DeepCopyInto(out *OcEssentialServiceStatus) {
	*out = *in
	if in.Operation != nil {
		operation := *in.Operation
		operation.StartedTime = in.Operation.StartedTime.DeepCopy()
		operation.CompletedTime = in.Operation.CompletedTime.DeepCopy()
		out.Operation = &operation
	}
	if in.Conditions != nil {
		out.Conditions = make([]metav1.Condition, len(in.Conditions))
		for i := range in.Conditions {
			in.Conditions[i].DeepCopyInto(&out.Conditions[i])
		}
	}
}

func (in *OcEssentialServiceList) DeepCopyObject() runtime.Object {
	out := &OcEssentialServiceList{TypeMeta: in.TypeMeta}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	out.Items = make([]OcEssentialService, len(in.Items))
	for i := range in.Items {
		in.Items[i].DeepCopyInto(&out.Items[i])
	}
	return out
}

func (in *LivePlatform) DeepCopyObject() runtime.Object {
	out := *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	return &out
}

func (in *LivePlatformList) DeepCopyObject() runtime.Object {
	out := &LivePlatformList{TypeMeta: in.TypeMeta}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	for i := range in.Items {
		out.Items = append(out.Items, *in.Items[i].DeepCopyObject().(*LivePlatform))
	}
	return out
}
