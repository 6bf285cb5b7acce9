/** A pod `p` in namespace `ns` whose one container, `c`, runs: as a server answers for it. */
export const runningPod = {
  kind: "Pod",
  apiVersion: "v1",
  metadata: { name: "p", namespace: "ns", uid: "u1", resourceVersion: "7", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: { containers: [{ name: "c", image: "i" }] },
  status: {
    phase: "Running",
    containerStatuses: [{
      name: "c",
      containerID: "containerd://one",
      state: { running: {} },
      image: "",
      imageID: "",
      ready: true,
      restartCount: 0
    }]
  }
}
