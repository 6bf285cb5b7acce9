/**
 * The request that opens a channel: it goes through the same transport as every other, with the same headers.
 */
import * as Attach from "@effect-k8s/channels/Attach"
import * as Exec from "@effect-k8s/channels/Exec"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Proxy from "@effect-k8s/channels/Proxy"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Clients from "../Clients.ts"
import { Lab } from "../Lab.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"

const header = (
  headers: ReadonlyMap<string, ReadonlyArray<string>> | undefined,
  name: string
): ReadonlyArray<string> => headers?.get(name) ?? []

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("A10", "the upgrade carries credentials, user agent and impersonation, groups and extra one by one", function*() {
    const { target } = yield* Lab
    const { requests } = yield* Scripted.cluster
    const marker = Remote.makeMarker()
    const credentials = yield* Clients.impersonating({
      user: "jane",
      uid: "u-1",
      groups: ["system:masters", "second group"],
      extra: { "example.org/Reason": ["one", "two"] }
    })
    const client = yield* Clients.make({ credentials })
    yield* Effect.provideService(Exec.exitCode(Exec.on(target())(["true", marker])), KubeClient.KubeClient, client)
    const [seen, ...others] = yield* requests.find({ resource: "pods/exec", path: new RegExp(marker) })
    yield* same(others.length, 0, "further requests")
    yield* same([seen?.method, seen?.status, seen?.user], ["GET", 101, "admin"], "request")
    const expected: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
      ["authorization", ["Bearer <redacted>"]],
      ["user-agent", ["effect-k8s"]],
      ["impersonate-user", ["jane"]],
      ["impersonate-uid", ["u-1"]],
      ["impersonate-group", ["system:masters", "second group"]],
      ["impersonate-extra-example.org%2freason", ["one", "two"]],
      ["upgrade", ["websocket"]],
      ["sec-websocket-protocol", ["v5.channel.k8s.io, v4.channel.k8s.io"]],
      ["sec-websocket-extensions", []],
      ["origin", []]
    ]
    for (const [name, values] of expected) yield* same(header(seen?.headers, name), values, name)
  }, { scripted: "a real server does not tell which headers it was sent; the next row shows what they do" }),
  row("A10", "every other channel, and every request, carries the same", function*() {
    const { namespace, pod, target } = yield* Lab
    const { requests } = yield* Scripted.cluster
    const marker = Remote.makeMarker()
    // No other request is this user's.
    const credentials = yield* Clients.impersonating({
      user: marker,
      groups: ["system:masters", "second group"],
      extra: { scopes: ["one", "two"] }
    })
    const client = yield* Clients.make({ credentials })
    const pods = Api.make(Pod, { namespace })
    const { name } = pod("web").metadata
    yield* Effect.all([
      pods.list({ limit: 1 }),
      Stream.runHead(pods.watch({ fieldSelector: `metadata.name=${name}` })),
      Stream.runDrain(pods.log(name, { limitBytes: 1 })),
      Exec.exitCode(Exec.on(target(), { transport: "spdy" })(["true"])),
      ...(["websocket", "spdy"] as const).map((transport) =>
        Effect.scoped(Attach.attach(target("web"), { transport }))
      ),
      ...(["tunnel", "websocket", "spdy"] as const).map((transport) =>
        Effect.scoped(PortForward.open(target("web"), { transport }))
      ),
      Effect.flatMap(
        Proxy.httpClient(target("web"), { port: "http" }),
        (web) => Effect.flatMap(web.get("/"), ({ text }) => text)
      )
    ], { discard: true }).pipe(Effect.scoped, Effect.provideService(KubeClient.KubeClient, client))
    const seen = (yield* requests.records).filter(({ headers }) => header(headers, "impersonate-user")[0] === marker)
    const kinds = new Set(
      seen.map(({ headers, resource, verb }) =>
        [verb, resource, ...header(headers, "upgrade").map((value) => value.toLowerCase())].join(" ")
      )
    )
    for (
      const kind of [
        "list pods",
        "watch pods",
        "get pods/log",
        "create pods/exec spdy/3.1",
        "get pods/attach websocket",
        "create pods/attach spdy/3.1",
        "get pods/portforward websocket",
        "create pods/portforward spdy/3.1",
        "get pods/proxy"
      ]
    ) yield* check(kinds.has(kind), `there was no ${kind}, but ${[...kinds].join(", ")}`)
    for (const { headers, resource, user, verb } of seen) {
      const what = `of ${verb} ${resource}`
      yield* same(user, "admin", `user ${what}`)
      for (
        const [name, values] of [
          ["authorization", ["Bearer <redacted>"]],
          ["user-agent", ["effect-k8s"]],
          ["impersonate-group", ["system:masters", "second group"]],
          ["impersonate-extra-scopes", ["one", "two"]]
        ] as const
      ) yield* same(header(headers, name), values, `${name} ${what}`)
    }
  }, { scripted: "a real server does not tell which headers it was sent" }),
  row("A10", "who is impersonated is who the upgrade is for, and their groups count", function*() {
    const { target } = yield* Lab
    const as = Effect.fnUntraced(function*(groups: ReadonlyArray<string>) {
      const credentials = yield* Clients.impersonating({ user: "conformance-jane", groups })
      const client = yield* Clients.make({ credentials })
      return yield* Effect.provideService(Exec.exitCode(Exec.on(target())(["true"])), KubeClient.KubeClient, client)
    })
    yield* same(yield* as(["system:masters"]), 0, "exit code")
    const error = yield* failureOf(as(["nobody"]))
    yield* same(error.reason._tag, "Forbidden", "reason without the group")
    yield* check(error.message.includes("\"conformance-jane\""), `the message does not name the user: ${error.message}`)
  }),
  row("A11", "a custom dialler is called once for each channel", function*() {
    const { dials, target } = yield* Lab
    for (let count = 1; count <= 3; count++) {
      yield* Exec.exitCode(Exec.on(target())(["true"]))
      yield* same(dials(), count, "dials")
    }
    yield* Effect.all(Array.from({ length: 5 }, () => Exec.exitCode(Exec.on(target())(["true"]))), {
      concurrency: "unbounded"
    })
    yield* same(dials(), 8, "dials after five at once")
  }, { only: { path: "tunnel", why: "this is about the dialler" } }),
  row("A11", "requests share a connection of their own, which channels leave alone", function*() {
    const { dials, pod, target } = yield* Lab
    const { name } = pod("plain").metadata
    yield* Exec.exitCode(Exec.on(Target.pod(name))(["true"]))
    yield* same(dials(), 2, "dials after a channel that has read its pod first")
    yield* Exec.exitCode(Exec.on(target())(["true"]))
    yield* same(dials(), 3, "dials after another channel")
    yield* Api.make(Pod).get(name)
    yield* same(dials(), 3, "dials after another request")
  }, { only: { path: "tunnel", why: "this is about the dialler" } })
]
