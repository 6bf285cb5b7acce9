/**
 * How the servers of three Kubernetes versions differ in what concerns pods.
 */

/** A Kubernetes minor version that was looked at: 1.28 and 1.34 with containerd 1.6, 1.36 with containerd 2.2. */
export type Era = "1.28" | "1.34" | "1.36"

/** What differs. */
export interface EraFacts {
  /** What `/version` says. */
  readonly version: string
  /**
   * Who answers `v5.channel.k8s.io`. The API server answers before it asks the kubelet, so what the kubelet refuses
   * comes on channel 3; the kubelet refuses with an HTTP status.
   */
  readonly translator: "none" | "api-server" | "kubelet"
  /** The runtime of the node, as it names itself. */
  readonly runtime: string
  /** What the node's kubelet says that it can do, by which the API server decides who answers `v5` and the tunnel. */
  readonly declaredFeatures: ReadonlyArray<string>
  /** Whether a GET of exec, attach and port-forward needs the verb `create` besides `get`. */
  readonly getNeedsCreate: boolean
  /** How the runtime ends its words about a command that it could not start. */
  readonly startFailureEnd: string
  /** Whether a `v4` connection that is lost without a close frame takes its command with it. */
  readonly lossKills: boolean
}

/** The era that is taken when none is asked for. */
export const defaultEra: Era = "1.34"

/** The facts of each era. */
export const facts: Readonly<Record<Era, EraFacts>> = {
  "1.28": {
    version: "1.28.15",
    runtime: "containerd://1.6.20",
    declaredFeatures: [],
    translator: "none",
    getNeedsCreate: false,
    startFailureEnd: ": unknown",
    lossKills: false
  },
  "1.34": {
    version: "1.34.4",
    runtime: "containerd://1.6.20",
    declaredFeatures: [],
    translator: "api-server",
    getNeedsCreate: false,
    startFailureEnd: ": unknown",
    lossKills: false
  },
  "1.36": {
    version: "1.36.3",
    runtime: "containerd://2.2.9",
    declaredFeatures: ["ExtendWebSocketsToKubelet"],
    translator: "kubelet",
    getNeedsCreate: true,
    startFailureEnd: "",
    lossKills: true
  }
}
