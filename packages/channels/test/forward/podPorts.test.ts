import * as PodPorts from "@effect-k8s/channels/forward/podPorts"
import { assert, describe, it } from "@effect/vitest"

const pod: PodPorts.HasPorts = {
  metadata: { name: "web-0" },
  spec: {
    containers: [
      {
        name: "main",
        ports: [{ name: "http", containerPort: 8080 }, { name: "dns", containerPort: 53, protocol: "UDP" }]
      },
      { name: "side", ports: [{ name: "both", containerPort: 5353 }, { containerPort: 5353, protocol: "UDP" }] },
      { name: "none" }
    ],
    initContainers: [{ name: "init", ports: [{ name: "debug", containerPort: 9229, protocol: "TCP" }] }]
  }
}

/** A port of the pod, and the number that was asked for. */
const port = (number: number, asked = number): PodPorts.Port => ({ _tag: "Port", port: number, asked })

describe("P1: a port of a pod", () => {
  const rows: ReadonlyArray<readonly [port: number | string, expected: number | RegExp]> = [
    [8080, 8080],
    // What listens need not be declared.
    [1234, 1234],
    ["http", 8080],
    ["debug", 9229],
    [5353, 5353],
    [53, /UDP/],
    ["dns", /UDP/],
    ["nope", /no port named nope; it has http, dns, both, debug/],
    [0, /1 to 65535/],
    [65_536, /1 to 65535/],
    [-1, /1 to 65535/],
    [1.5, /1 to 65535/],
    [Number.NaN, /1 to 65535/]
  ]
  for (const [asked, expected] of rows) {
    it(`${asked} is ${expected}`, () => {
      const found = PodPorts.ofPod(pod, asked)
      if (typeof expected === "number") assert.deepStrictEqual(found, port(expected))
      else assert.match(found._tag === "NoPort" ? found.description : "a port", expected)
    })
  }
})

describe("P14: a port of a service", () => {
  const service = (clusterIP?: string) => ({
    metadata: { name: "web", uid: "", resourceVersion: "", creationTimestamp: "" },
    spec: {
      ...(clusterIP === undefined ? {} : { clusterIP }),
      ports: [
        { name: "page", port: 80, targetPort: "http" },
        { name: "number", port: 81, targetPort: 9000 },
        { name: "same", port: 82 },
        { name: "unknown", port: 83, targetPort: "nope" },
        { name: "dns", port: 53, protocol: "UDP", targetPort: "dns" },
        { name: "dns-tcp", port: 54, protocol: "UDP" },
        { name: "tcp-dns", port: 54, targetPort: 5353 }
      ]
    }
  })
  const rows: ReadonlyArray<readonly [port: number | string, expected: number | RegExp, clusterIP?: string]> = [
    [80, 8080],
    ["page", 8080],
    [81, 9000],
    ["number", 9000],
    [82, 82],
    [54, 5353],
    [83, /no port named nope/],
    [53, /UDP/],
    [8080, /service web has no port 8080; it has 80 \(page\), 81 \(number\)/],
    // A headless service sends nothing anywhere: its numbers are the pod's, by their names too, as for kubectl.
    [80, 80, "None"],
    ["page", 80, "None"],
    ["number", 81, "None"],
    [8080, /service web has no port 8080/, "None"],
    ["nope", /service web has no port nope/, "None"],
    ["dns", /UDP/, "None"],
    [0, /service web has no port 0/, "None"]
  ]
  for (const [asked, expected, clusterIP] of rows) {
    it(`${asked}${clusterIP === undefined ? "" : ` without a cluster IP`} is ${expected}`, () => {
      const { metadata, spec } = service(clusterIP)
      const found = PodPorts.ofService({ metadata, spec }, pod, asked)
      // A name stands for the service's number, at which listeners listen.
      const number = typeof asked === "number" ? asked : spec.ports.find(({ name }) => name === asked)?.port
      if (typeof expected === "number") assert.deepStrictEqual(found, port(expected, number))
      else assert.match(found._tag === "NoPort" ? found.description : "a port", expected)
    })
  }
})

describe("of several pods", () => {
  const one = (name: string, phase: string, ready: boolean, creationTimestamp: string, deletionTimestamp?: string) => ({
    metadata: {
      name,
      uid: name,
      resourceVersion: "1",
      creationTimestamp,
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp })
    },
    status: { phase, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] }
  })

  it("one that runs and is ready is taken, the oldest of them", () => {
    const pods = [
      one("pending", "Pending", false, "2026-01-01T00:00:00Z"),
      one("not-ready", "Running", false, "2026-01-01T00:00:00Z"),
      one("leaving", "Running", true, "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"),
      one("young", "Running", true, "2026-01-02T12:00:00Z"),
      one("old", "Running", true, "2026-01-02T00:00:00Z")
    ]
    assert.strictEqual(PodPorts.best(pods)?.metadata.name, "old")
    assert.strictEqual(PodPorts.best(pods.slice(0, 3))?.metadata.name, "not-ready")
    assert.isFalse(PodPorts.isRunning(pods[2]!))
    assert.isUndefined(PodPorts.best([]))
  })

  it("are selected by labels and expressions in the API's text form", () => {
    assert.strictEqual(
      PodPorts.selectorText({
        matchLabels: { app: "web", tier: "front" },
        matchExpressions: [
          { key: "zone", operator: "In", values: ["a", "b"] },
          { key: "old", operator: "NotIn", values: ["yes"] },
          { key: "here", operator: "Exists" },
          { key: "gone", operator: "DoesNotExist" }
        ]
      }),
      "app=web,tier=front,zone in (a,b),old notin (yes),here,!gone"
    )
    assert.strictEqual(PodPorts.selectorText({}), "")
  })
})
