package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/time/rate"
)

const (
	// How long a list of services is shared by all workers. A list for each service would make the cost of
	// many services quadratic.
	listAge = time.Second
	// How many leads a page has.
	pageSize = 1000
	// The license OC Essential.
	ocEssential = 3
)

// Lead is what this program reads of a lead.
type Lead struct {
	TenantID        string `json:"tenantId"`
	Status          string `json:"status"`
	UmpCustomerGUID string `json:"umpCustomerGuid"`
}

// Service is what this program reads of a service.
type Service struct {
	UmpCustomerGUID   string `json:"UmpCustomerGuid"`
	CustomerShortName string `json:"CustomerShortName"`
	CustomerFullName  string `json:"CustomerFullName"`
	LicenseType       int    `json:"LicenseType"`
	MsTenantID        string `json:"MsTenantId"`
}

// Task is what this program reads of a task.
type Task struct {
	Status            string `json:"status"`
	ExecutionMessages []struct {
		Level   string `json:"level"`
		Message string `json:"message"`
	} `json:"executionMessages"`
}

// StatusError is an answer other than 2xx.
type StatusError struct {
	Code int
	Body string
}

func (e *StatusError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.Code, e.Body) }

// Platform is a client for the Live Platform. It keeps to the budget of calls of the LivePlatform object.
type Platform struct {
	base     string
	client   *http.Client
	limiter  *rate.Limiter
	inFlight chan struct{}

	mutex    sync.Mutex
	services map[string]Service
	listed   time.Time
}

// NewPlatform makes a client. The client of clientcredentials keeps the token and gets a new one in time.
func NewPlatform(base string, spec *LivePlatformSpec, secret string) *Platform {
	entra := spec.Authentication.Entra
	tokenURL := entra.TokenURL
	if tokenURL == "" {
		tokenURL = "https://login.microsoftonline.com/" + entra.TenantID + "/oauth2/v2.0/token"
	}
	credentials := clientcredentials.Config{
		ClientID:     entra.ClientID,
		ClientSecret: secret,
		TokenURL:     tokenURL,
		Scopes:       []string{entra.Scope},
		AuthStyle:    oauth2.AuthStyleInParams,
	}
	// By default only two idle connections to a host are kept, and the others are opened again each time.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = spec.Requests.InFlight
	plain := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	client := credentials.Client(context.WithValue(context.Background(), oauth2.HTTPClient, plain))
	client.Timeout = 30 * time.Second
	return &Platform{
		base:     strings.TrimSuffix(base, "/"),
		client:   client,
		limiter:  rate.NewLimiter(rate.Limit(spec.Requests.PerSecond), spec.Requests.Burst),
		inFlight: make(chan struct{}, spec.Requests.InFlight),
	}
}

// call sends a request and decodes the JSON of its answer.
func (p *Platform) call(ctx context.Context, method, path string, body, answer any) error {
	if err := p.limiter.Wait(ctx); err != nil {
		return err
	}
	select {
	case p.inFlight <- struct{}{}:
		defer func() { <-p.inFlight }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, p.base+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return &StatusError{Code: response.StatusCode, Body: string(said)}
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	// The connection is reused only if its answer was read to the end.
	_, _ = io.Copy(io.Discard, response.Body)
	return nil
}

// LeadOf returns the tenant's lead that may be converted: the active one. A tenant can have two.
func (p *Platform) LeadOf(ctx context.Context, tenant string) (*Lead, error) {
	var leads []Lead
	if err := p.call(ctx, http.MethodGet, "/api/v2/oc/lead?msTenantId="+url.QueryEscape(tenant), nil, &leads); err != nil {
		return nil, err
	}
	for i := range leads {
		if strings.EqualFold(leads[i].TenantID, tenant) && leads[i].Status == "Active" {
			return &leads[i], nil
		}
	}
	return nil, nil
}

// ActiveLeads returns the tenants with an active lead.
func (p *Platform) ActiveLeads(ctx context.Context) (map[string]bool, error) {
	active := make(map[string]bool)
	for page := 1; ; page++ {
		var leads []Lead
		path := "/api/v2/oc/lead?PageNumber=" + strconv.Itoa(page) + "&PageSize=" + strconv.Itoa(pageSize)
		if err := p.call(ctx, http.MethodGet, path, nil, &leads); err != nil {
			return nil, err
		}
		for _, lead := range leads {
			if lead.Status == "Active" {
				active[strings.ToLower(lead.TenantID)] = true
			}
		}
		if len(leads) < pageSize {
			return active, nil
		}
	}
}

// Convert asks for an OC Essential service and returns the id of the task.
func (p *Platform) Convert(ctx context.Context, tenant, shortName, fullName string) (string, error) {
	body := map[string]string{
		"configurationName": "OcEssential_TENANT_TYPE",
		"customerShortName": shortName,
		"customerFullName":  fullName,
		"msTenantID":        tenant,
	}
	var answer struct {
		JobID string `json:"jobId"`
	}
	if err := p.call(ctx, http.MethodPost, "/api/v3/customer", body, &answer); err != nil {
		return "", err
	}
	if answer.JobID == "" {
		return "", fmt.Errorf("the answer to the create has no jobId")
	}
	return answer.JobID, nil
}

// Task reads a task.
func (p *Platform) Task(ctx context.Context, id string) (*Task, error) {
	task := &Task{}
	err := p.call(ctx, http.MethodGet, "/api/v2/task/"+url.PathEscape(id), nil, task)
	return task, err
}

// Services returns the services by tenant, from a list that is no older than maxAge. Whoever comes while the
// list is read waits for it and shares it.
func (p *Platform) Services(ctx context.Context, maxAge time.Duration) (map[string]Service, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.services != nil && time.Since(p.listed) <= maxAge {
		return p.services, nil
	}
	began := time.Now()
	var list []Service
	if err := p.call(ctx, http.MethodGet, "/api/v3/customer", nil, &list); err != nil {
		return nil, err
	}
	// A new map each time: others may still read the one before.
	services := make(map[string]Service, len(list))
	for _, service := range list {
		if service.LicenseType >= ocEssential {
			services[strings.ToLower(service.MsTenantID)] = service
		}
	}
	p.services, p.listed = services, began
	return services, nil
}

// LastServices returns the services as last listed, however long ago, or nil.
func (p *Platform) LastServices() map[string]Service {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.services
}
