/**
 * What the server answers to requests: a pod, lists of pods, and as much discovery as kubectl asks for.
 */

const pod = (namespace: string, index: number): object => ({
  metadata: {
    name: `pod-${index}`,
    generateName: "pod-",
    namespace,
    uid: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
    resourceVersion: String(1000 + index),
    creationTimestamp: "2026-01-01T00:00:00Z",
    labels: { app: "bench", "pod-template-hash": "5d8c6f9b7c", tier: index % 2 === 0 ? "web" : "worker" },
    annotations: { "bench.example/notes": "x".repeat(900) },
    ownerReferences: [{
      apiVersion: "apps/v1",
      kind: "ReplicaSet",
      name: "bench-5d8c6f9b7c",
      uid: "00000000-0000-4000-8000-000000000000",
      controller: true,
      blockOwnerDeletion: true
    }],
    managedFields: ["kube-controller-manager", "kubelet"].map((manager) => ({
      manager,
      operation: "Update",
      apiVersion: "v1",
      time: "2026-01-01T00:00:00Z",
      fieldsType: "FieldsV1",
      fieldsV1: { "f:metadata": { "f:labels": { ".": {}, "f:app": {} } }, "f:spec": { "f:containers": {} } }
    }))
  },
  spec: {
    containers: ["main", "sidecar"].map((name) => ({
      name,
      image: `registry.example/bench/${name}:1.2.3`,
      args: ["--listen=:8080", "--log-level=info"],
      ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }],
      env: Array.from({ length: 8 }, (_, i) => ({ name: `VARIABLE_${i}`, value: `value-${i}-of-pod-${index}` })),
      resources: { limits: { cpu: "500m", memory: "256Mi" }, requests: { cpu: "100m", memory: "128Mi" } },
      volumeMounts: [{ name: "token", readOnly: true, mountPath: "/var/run/secrets/kubernetes.io/serviceaccount" }],
      imagePullPolicy: "IfNotPresent"
    })),
    volumes: [{
      name: "token",
      projected: { defaultMode: 420, sources: [{ serviceAccountToken: { path: "token" } }] }
    }],
    restartPolicy: "Always",
    terminationGracePeriodSeconds: 30,
    dnsPolicy: "ClusterFirst",
    serviceAccountName: "default",
    nodeName: `node-${index % 7}`
  },
  status: {
    phase: "Running",
    conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map((type) => ({
      type,
      status: "True",
      lastProbeTime: null,
      lastTransitionTime: "2026-01-01T00:00:00Z"
    })),
    hostIP: "10.0.0.1",
    podIP: `10.1.${index >> 8}.${index & 255}`,
    startTime: "2026-01-01T00:00:00Z",
    containerStatuses: ["main", "sidecar"].map((name) => ({
      name,
      state: { running: { startedAt: "2026-01-01T00:00:00Z" } },
      lastState: {},
      ready: true,
      restartCount: 0,
      image: `registry.example/bench/${name}:1.2.3`,
      imageID: `registry.example/bench/${name}@sha256:${"0".repeat(64)}`,
      containerID: `containerd://${"0".repeat(64)}`,
      started: true
    })),
    qosClass: "Burstable"
  }
})

/** Pods in each namespace, by its name. */
export const podCounts: Readonly<Record<string, number>> = { few: 2, many: 500 }

const list = (namespace: string): string =>
  JSON.stringify({
    kind: "PodList",
    apiVersion: "v1",
    metadata: { resourceVersion: "2000" },
    items: Array.from({ length: podCounts[namespace] ?? 0 }, (_, index) => pod(namespace, index))
  })

const lists = new Map(Object.keys(podCounts).map((namespace) => [namespace, Buffer.from(list(namespace))]))

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

const version = json({ major: "1", minor: "34", gitVersion: "v1.34.0", platform: "linux/amd64" })
const podKind = { group: "", version: "v1", kind: "Pod" }
const coreGroup = json({
  kind: "APIGroupDiscoveryList",
  apiVersion: "apidiscovery.k8s.io/v2",
  metadata: {},
  items: [{
    metadata: { creationTimestamp: null },
    versions: [{
      version: "v1",
      freshness: "Current",
      resources: [{
        resource: "pods",
        responseKind: podKind,
        scope: "Namespaced",
        singularResource: "pod",
        shortNames: ["po"],
        verbs: ["get", "list"],
        subresources: [{ subresource: "exec", responseKind: { ...podKind, kind: "PodExecOptions" }, verbs: ["create"] }]
      }]
    }]
  }]
})
const noGroups = json({ kind: "APIGroupDiscoveryList", apiVersion: "apidiscovery.k8s.io/v2", metadata: {}, items: [] })

/** An answer: its content type and its body. */
export interface Answer {
  readonly contentType: string
  readonly body: Buffer
}

const plainJson = "application/json"
const discovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

/** The answer to a GET; none is a 404. */
export const answer = (path: string): Answer | undefined => {
  switch (path) {
    case "/version":
      return { contentType: plainJson, body: version }
    case "/api":
      return { contentType: discovery, body: coreGroup }
    case "/apis":
      return { contentType: discovery, body: noGroups }
  }
  const [, namespace, name] = /^\/api\/v1\/namespaces\/([^/]+)\/pods(?:\/([^/]+))?$/.exec(path) ?? []
  if (namespace === undefined) return undefined
  if (name !== undefined) {
    return { contentType: plainJson, body: json({ kind: "Pod", apiVersion: "v1", ...pod(namespace, 0) }) }
  }
  const body = lists.get(namespace)
  return body === undefined ? undefined : { contentType: plainJson, body }
}
