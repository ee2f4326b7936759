{{/*
The rules of a file. Without names: its text, with the reasons but without the file's own header. With names, each rule is restricted to them, except a create, for which that is impossible.
Arguments: root, file, names.
*/}}
{{- define "oc-essentials-operator.rules" -}}
{{- $text := .root.Files.Get (printf "files/%s" .file) }}
{{- if .names }}
{{- range $rule := fromYamlArray $text }}
{{- if not (has "create" $rule.verbs) }}
{{- $rule = set $rule "resourceNames" $.names }}
{{- end }}
{{ list $rule | toYaml }}
{{- end }}
{{- else }}
{{- regexReplaceAll "(?s)^#.*?\n\n" $text "" | trim }}
{{- end }}
{{- end }}

{{/* The subject of each binding. */}}
{{- define "oc-essentials-operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "oc-essentials-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/*
A Role and its binding. Arguments: root, name, namespace, rules (text).
*/}}
{{- define "oc-essentials-operator.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "oc-essentials-operator.labels" .root | nindent 4 }}
rules:
  {{- .rules | trim | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "oc-essentials-operator.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  {{- include "oc-essentials-operator.subjects" .root | nindent 2 }}
{{- end }}

{{/*
Where the operator may read Secrets, or ConfigMaps, and which: {namespace: {all, names}} as YAML. Arguments: root, grants (rbac.secrets or rbac.configMaps), and the
references of the release's own LivePlatforms, which need no grant of their own.
*/}}
{{- define "oc-essentials-operator.readable" -}}
{{- $found := dict }}
{{- $everywhere := and .grants.anywhere (not .root.Values.watchNamespaces) }}
{{- if not $everywhere }}
{{- $all := list }}
{{- if .grants.inReleaseNamespace }}{{ $all = append $all .root.Release.Namespace }}{{ end }}
{{- if .grants.anywhere }}{{ $all = concat $all .root.Values.watchNamespaces }}{{ end }}
{{- range concat $all .grants.inNamespaces }}
{{- $_ := set $found . (dict "all" true) }}
{{- end }}
{{- $single := list }}
{{- range $grant := .grants.named }}
{{- range $grant.names }}{{ $single = append $single (dict "namespace" $grant.namespace "name" .) }}{{ end }}
{{- end }}
{{- range concat $single .references }}
{{- $here := default dict (get $found .namespace) }}
{{- if not $here.all }}
{{- $_ := set $found .namespace (dict "names" (append (default list $here.names) .name | uniq)) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $found }}
{{- end }}
