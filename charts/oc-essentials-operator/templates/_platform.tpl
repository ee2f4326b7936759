{{/*
Whether to render the release's own LivePlatforms. Helm refuses a release that contains both a kind and an object of that kind, so by default they wait until the
cluster knows the kind.
*/}}
{{- define "oc-essentials-operator.rendersPlatforms" -}}
{{- if or (eq .Values.customResources "Always") (.Capabilities.APIVersions.Has "operatorconnect.dev/v1alpha1") }}true{{ end }}
{{- end }}

{{/* The spec of livePlatform, with the reference to the existing Secret merged in. */}}
{{- define "oc-essentials-operator.platformSpec" -}}
{{- $spec := deepCopy .Values.livePlatform.spec }}
{{- with .Values.livePlatform.existingSecret }}
{{- if .name }}
{{- $reference := dict "namespace" (default $.Release.Namespace .namespace) "name" .name "key" .key }}
{{- $spec = mustMergeOverwrite $spec (dict "authentication" (dict "entra" (dict "clientSecretRef" $reference))) }}
{{- end }}
{{- end }}
{{- toYaml $spec }}
{{- end }}

{{/* The Secrets and ConfigMaps that the release's own LivePlatforms refer to: {secrets, configMaps}, lists of {namespace, name}, as YAML. */}}
{{- define "oc-essentials-operator.references" -}}
{{- $secrets := list }}
{{- $configMaps := list }}
{{- if .Values.livePlatform.enabled }}
{{- $spec := include "oc-essentials-operator.platformSpec" . | fromYaml }}
{{- with dig "authentication" "entra" "clientSecretRef" dict $spec }}
{{- $secrets = append $secrets (pick . "namespace" "name") }}
{{- end }}
{{- with dig "caBundleRef" dict $spec }}
{{- $configMaps = append $configMaps (pick . "namespace" "name") }}
{{- end }}
{{- end }}
{{- if .Values.simulator.enabled }}
{{- $secrets = append $secrets (dict "namespace" .Release.Namespace "name" (include "oc-essentials-operator.simulatorName" .)) }}
{{- end }}
{{- toYaml (dict "secrets" $secrets "configMaps" $configMaps) }}
{{- end }}

{{- define "oc-essentials-operator.simulatorName" -}}
{{- printf "%s-simulator" (include "oc-essentials-operator.fullname" . | trunc 53 | trimSuffix "-") }}
{{- end }}

{{/* Selector labels of the simulator's pods. */}}
{{- define "oc-essentials-operator.simulatorSelector" -}}
{{ include "oc-essentials-operator.selectorLabels" . }}
app.kubernetes.io/component: simulator
{{- end }}

{{/* http://host:port of the simulator, as the operator calls it. Plain http is allowed only to hosts in the cluster; this name is one,
whatever the cluster's domain is. */}}
{{- define "oc-essentials-operator.simulatorUrl" -}}
{{- printf "http://%s.%s.svc:%v" (include "oc-essentials-operator.simulatorName" .) .Release.Namespace .Values.simulator.port }}
{{- end }}
