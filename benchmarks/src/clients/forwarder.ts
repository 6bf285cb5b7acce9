/**
 * Connections through a process that listens for them: kubectl, or effect-k8s in its place. What is measured is that
 * process; the connections are made by this one.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as net from "node:net"
import { fileURLToPath } from "node:url"
import type { Work } from "../shared/Work.ts"
import * as Client from "./Client.ts"
import type { Forward } from "./Forwarded.ts"

const binary = process.env["BENCH_KUBECTL"] ?? "kubectl"

const start = (work: Work): ChildProcess => {
  const { kubeconfig, context, pod, ports } = work
  if (work.variant === "listen") {
    const listener = fileURLToPath(new URL("listener.js", import.meta.url))
    return spawn(process.execPath, [listener, JSON.stringify(work)], { stdio: ["ignore", "pipe", "inherit"] })
  }
  return spawn(binary, [
    "--kubeconfig",
    kubeconfig,
    "--context",
    context,
    "--namespace",
    pod.namespace,
    "port-forward",
    "--address",
    "127.0.0.1",
    `pod/${pod.name}`,
    `:${ports.ping}`,
    `:${ports.lab}`
  ], { stdio: ["ignore", "pipe", "inherit"] })
}

/** Waits until all ports are listened on: the local ones, by those of the pod. */
const listening = (child: ChildProcess, ports: ReadonlyArray<number>): Promise<ReadonlyMap<number, number>> =>
  new Promise((resolve, reject) => {
    const found = new Map<number, number>()
    let text = ""
    // It says something of every connection too: all of it must be read.
    child.stdout?.setEncoding("utf8").on("data", (more: string) => {
      if (found.size === ports.length) return
      text += more
      for (const [, local, remote] of text.matchAll(/127\.0\.0\.1:(\d+) -> (\d+)\n/g)) {
        found.set(Number(remote), Number(local))
      }
      if (found.size === ports.length) resolve(found)
    })
    child.on("error", reject)
    child.on("close", (code) => reject(new Error(`what listens ended with ${code}`)))
  })

const forward = async (work: Work): Promise<Forward> => {
  const child = start(work)
  process.on("exit", () => child.kill("SIGKILL"))
  const locals = await listening(child, [work.ports.ping, work.ports.lab])
  const connect = (port: number): Promise<net.Socket> =>
    new Promise((resolve, reject) => {
      const socket = net.connect({ port: locals.get(port) ?? 0, host: "127.0.0.1", noDelay: true, allowHalfOpen: true })
      socket.once("error", reject).once("connect", () => resolve(socket))
    })
  return {
    pid: child.pid,
    exchange: async (port, chunks, take) => {
      const socket = await connect(port)
      const end = new Promise<void>((resolve, reject) => {
        socket.on("data", take).on("error", reject).on("end", () => {
          socket.end()
          resolve()
        })
      })
      for (const chunk of chunks) {
        if (!socket.write(chunk)) await new Promise((resolve) => socket.once("drain", resolve))
      }
      await end
    },
    connect: async (port) => {
      const socket = await connect(port)
      await new Promise<void>((resolve, reject) => {
        socket.once("data", () => resolve()).on("error", reject)
        socket.on("end", () => reject(new Error("the connection ended without a byte")))
        socket.write(Uint8Array.of(7))
      })
      return async () => {
        socket.destroy()
      }
    },
    stall: async (port, chunk) => {
      const socket = await connect(port)
      socket.on("error", () => {})
      socket.write(chunk)
    },
    close: async () => {
      child.kill("SIGKILL")
    }
  }
}

await Client.main(async () => ({ forward }))
