/**
 * Where a row runs: a cluster, a namespace of its own, and pods.
 */
import type * as Target from "@effect-k8s/channels/Target"
import type { Pod } from "@effect-k8s/core/apis/core/v1"
import type * as Credentials from "@effect-k8s/core/Credentials"
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { PlatformError } from "effect/PlatformError"
import type { ChildProcessHandle, ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import type * as TestCluster from "../TestCluster.ts"
import type { Job } from "./ClientProcess.ts"
import type { Ports } from "./ForwardPrograms.ts"
import type { Tunnel } from "./Tunnel.ts"

/** What answers. */
export type Server =
  | { readonly _tag: "TestCluster"; readonly cluster: TestCluster.Service }
  | { readonly _tag: "Cluster"; readonly version: string }

/** The minor version of a server: 34 of `v1.34.4`. */
export const minorVersion = (server: Server): number =>
  server._tag === "Cluster" ? Number(/^v?1\.(\d+)/.exec(server.version)?.[1] ?? Number.NaN) : 34

/** How a row's client connects: directly, or through a tunnel by a custom dialler. */
export type Path = "direct" | "tunnel"

/** A kind of pod that rows ask for; one of each is shared by all rows. */
export type PodKind =
  /** One container, `main`, with a shell and the usual programs. */
  | "plain"
  /** Three containers, `main`, `side` and `tty`; the annotation names `side` as the default. */
  | "three"
  /** No `sh` is found in it. */
  | "shell-less"
  /** `sh` is found in it, but no `cat`, nor does its shell have one. */
  | "cat-less"
  /** Listens on the ports of the lab; see `ForwardPrograms`. */
  | "web"

/** Where a row runs. */
export class Lab extends Context.Service<Lab, {
  readonly server: Server
  readonly path: Path
  /** The endpoint, with the dialler of the path. */
  readonly endpoint: Endpoint
  /** The administrator's. */
  readonly credentials: Credentials.Credentials["Service"]
  /** The tunnel, to be dropped or silenced. */
  readonly tunnel: Tunnel
  readonly namespace: string
  /** A running pod of a kind. */
  readonly pod: (kind: PodKind) => Pod
  /** The first, or the named, container of a running pod of a kind. */
  readonly target: (kind?: PodKind, container?: string) => Target.Target
  /** Starts a client on the row's path in a process of its own, which the scope ends. */
  readonly client: (
    target: Target.Target,
    job: Job
  ) => Effect.Effect<ChildProcessHandle, PlatformError, ChildProcessSpawner | Scope.Scope>
  /** The ports of the pod of the kind `web`. */
  readonly ports: Ports
  /** Connections that the dialler of the path has opened for this row. */
  readonly dials: () => number
}>()("@effect-k8s/testing/conformance/Lab") {}
