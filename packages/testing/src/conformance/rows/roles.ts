/**
 * Roles that grant one of the two verbs of an upgrade: what works with it, on which server, and what is told otherwise.
 */
import * as Attach from "@effect-k8s/channels/Attach"
import * as Exec from "@effect-k8s/channels/Exec"
import type { StageFailed, StageResult } from "@effect-k8s/channels/pipeline/StageResult"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Role, RoleBinding } from "@effect-k8s/core/apis/rbac/v1"
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Era from "../../pods/Era.ts"
import * as TestCluster from "../../TestCluster.ts"
import * as Clients from "../Clients.ts"
import { Lab, minorVersion } from "../Lab.ts"
import * as Pods from "../Pods.ts"
import { check, type Row, row, same } from "../Row.ts"

type Verb = "get" | "create"
const upgrades = ["pods/exec", "pods/attach", "pods/portforward"]

/** Opens one of each kind, alone and in a pipeline: what carries it, or why it was refused. */
const outcomes = (target: Target.Target) => {
  const told = <R>(effect: Effect.Effect<string, unknown, R>) => Effect.scoped(effect)
  const refusal = ({ message, reason }: KubeError): string => `${reason._tag}: ${message}`
  const ran = <R>(run: Effect.Effect<ReadonlyArray<StageResult>, StageFailed, R>) =>
    Effect.match(run, {
      onSuccess: (results) => results.map(carrierOf).join(", "),
      onFailure: ({ reason, stage }) =>
        `${reason._tag === "KubeError" ? refusal(reason) : reason.message}, in stage ${stage}`
    })
  const hello = Exec.on(target)(["echo", "hello"])
  return Effect.all({
    exec: told(
      hello.pipe(
        Effect.flatMap(({ attempts, stdout, transport }) =>
          Effect.map(
            Stream.mkString(Stream.decodeText(stdout)),
            (text) => `${transport} after ${attempts.length}: ${text.trim()}`
          )
        ),
        Effect.catchTag("KubeError", (error) => Effect.succeed(refusal(error)))
      )
    ),
    attach: told(
      Attach.attach(target).pipe(
        Effect.map(({ attempts, transport }) => `${transport} after ${attempts.length}`),
        Effect.catch((error) => Effect.succeed(refusal(error)))
      )
    ),
    forward: told(
      PortForward.open(target).pipe(
        Effect.map(({ attempts, transport }) => `${transport} after ${attempts.length}`),
        Effect.catch((error) => Effect.succeed(refusal(error)))
      )
    ),
    stage: ran(Exec.run(hello)),
    pipeline: ran(Exec.run(Exec.pipeTo(hello, Exec.on(target)(["sh", "-c", "test \"$(cat)\" = hello"]))))
  })
}

const carrierOf = (result: StageResult): string =>
  result._tag === "Pod" ? `${result.transport} ${result.protocol} ${result.end}` : result._tag

/** Fails unless somebody with one verb gets what servers of this version give them. */
const holds = Effect.fnUntraced(function*(target: Target.Target, verb: Verb, minor: number) {
  const got = yield* outcomes(target)
  const what = `with ${verb} on 1.${minor}`
  if (verb === "create") {
    yield* same(got.exec, "spdy after 1: hello", `exec ${what}`)
    yield* same(got.attach, "spdy after 1", `attach ${what}`)
    yield* same(got.forward, "spdy after 1", `port-forward ${what}`)
    yield* same(got.stage, "spdy v4.channel.k8s.io Completed", `one stage ${what}`)
    return yield* same(got.pipeline, `${got.stage}, ${got.stage}`, `two stages ${what}`)
  }
  if (minor >= 35) {
    for (const [kind, text] of Object.entries(got)) {
      yield* check(text.startsWith("Forbidden: "), `${kind} ${what}: ${text}`)
      // The first refusal has no reason, the second names the verb.
      yield* check(text.includes("cannot create resource"), `${kind} ${what} names not what is missing: ${text}`)
    }
    return
  }
  yield* same(got.exec, "websocket after 0: hello", `exec ${what}`)
  yield* same(got.attach, "websocket after 0", `attach ${what}`)
  // Before 1.30 nobody knows the tunnel, and SPDY is not for this role.
  yield* same(got.forward, minor < 30 ? "websocket after 2" : "tunnel after 0", `port-forward ${what}`)
  // SPDY, which comes first for a pipeline, is refused by a Status; v4 cannot tell a stage the end of its stdin.
  const protocol = minor < 30 ? RemoteCommand.v4 : RemoteCommand.v5
  yield* same(got.stage, `websocket ${protocol} Completed`, `one stage ${what}`)
  if (minor >= 30) return yield* same(got.pipeline, `${got.stage}, ${got.stage}`, `two stages ${what}`)
  for (const word of ["Forbidden: ", "cannot create resource \"pods/exec\"", ", in stage 1"]) {
    yield* check(got.pipeline.includes(word), `two stages ${what} say not ${word}: ${got.pipeline}`)
  }
})

const rulesOf = (verb: Verb) => [{ verbs: ["get"], resources: ["pods"] }, { verbs: [verb], resources: upgrades }]

/** The rows. */
export const rows: ReadonlyArray<Row> = [
  row(
    "R1",
    "a role with one verb of the two works where a server lets it, and is told what it lacks elsewhere",
    function*() {
      const { endpoint, path, tunnel } = yield* Lab
      const users = (["get", "create"] as const).map((verb) => ({ name: verb, rules: rulesOf(verb) }))
      for (const era of ["1.28", "1.34", "1.36"] as const) {
        const cluster = yield* TestCluster.make({ users, tls: endpoint.url.protocol === "https:", pods: { era } })
        const clientOf = (token: Redacted.Redacted) =>
          KubeClient.make({
            endpoint: path === "tunnel" ? { ...cluster.endpoint, dial: tunnel.dial } : cluster.endpoint,
            credentials: Credentials.make({ token })
          })
        const admin = yield* clientOf(cluster.token)
        const pod = yield* Effect.provideService(Pods.make("plain"), KubeClient.KubeClient, admin)
        const minor = Number(Era.facts[era].version.split(".")[1])
        for (const verb of ["get", "create"] as const) {
          const token = cluster.kubeconfig().users.find(({ name }) => name === verb)?.user.token ?? ""
          const client = yield* clientOf(Redacted.make(token))
          yield* Effect.provideService(holds(Target.fromPod(pod), verb, minor), KubeClient.KubeClient, client)
        }
      }
    },
    { scripted: "R2 asks a real server, which has one version" }
  ),
  row("R2", "so it does on a real server", function*() {
    const { namespace, server, target } = yield* Lab
    for (const verb of ["get", "create"] as const) {
      const user = `conformance-${namespace}-${verb}`
      const name = `conformance-${verb}`
      const forget = Effect.all([
        Effect.ignore(Api.make(RoleBinding).delete(name)),
        Effect.ignore(Api.make(Role).delete(name))
      ])
      yield* Effect.acquireRelease(
        Effect.andThen(
          Api.make(Role).create({
            metadata: { name },
            rules: rulesOf(verb).map((rule) => ({ ...rule, apiGroups: [""] }))
          }),
          Api.make(RoleBinding).create({
            metadata: { name },
            roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
            subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user }]
          })
        ),
        () => forget
      )
      const client = yield* Clients.make({ credentials: yield* Clients.impersonating({ user }) })
      // A binding takes its moment.
      yield* Effect.retry(holds(target(), verb, minorVersion(server)), {
        schedule: Schedule.spaced("200 millis"),
        times: 20
      }).pipe(Effect.provideService(KubeClient.KubeClient, client))
    }
  }, {
    inapplicable: (server) =>
      server._tag === "TestCluster" ? "a test cluster knows users and their rules, and evaluates no roles" : undefined
  })
]
