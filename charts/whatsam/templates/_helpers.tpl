{{/* Labels of every object. */}}
{{- define "whatsam.labels" -}}
app.kubernetes.io/part-of: whatsam
{{- end }}

{{/* Labels of the objects of one part. Takes the part's name. */}}
{{- define "whatsam.partLabels" -}}
app.kubernetes.io/component: {{ . }}
{{ include "whatsam.labels" . }}
{{- end }}

{{/* What selects the pods of one part. Takes the part's name. */}}
{{- define "whatsam.selector" -}}
app.kubernetes.io/name: whatsam
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Image of one part. Takes a list: root context, part. */}}
{{- define "whatsam.image" -}}
{{- $root := index . 0 -}}
{{- printf "%swhatsam/%s:%s" $root.Values.images.registry (index . 1) (default $root.Chart.AppVersion $root.Values.images.tag) -}}
{{- end }}

{{/* Security context of the pods. */}}
{{- define "whatsam.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Security context of the containers. */}}
{{- define "whatsam.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Probes of the operator and the API. */}}
{{- define "whatsam.probes" -}}
readinessProbe:
  httpGet:
    path: /ready
    port: http
  periodSeconds: 5
  timeoutSeconds: 2
livenessProbe:
  httpGet:
    path: /live
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}
