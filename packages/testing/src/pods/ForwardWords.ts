/**
 * What containerd and the kubelet say of forwarded connections that fail (protocol reference 4.5, seen on 1.34 and 1.36).
 */
import { createHash } from "node:crypto"

/** The sandbox of a pod, as runtimes name it. */
export interface Sandbox {
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly namespace: string
}

/** The sandbox of the pod with this uid. */
export const sandbox = (uid: string): Sandbox => {
  const id = createHash("sha256").update(uid).digest("hex")
  const parts = [id.slice(0, 8), id.slice(8, 12), id.slice(12, 16), id.slice(16, 20), id.slice(20, 32)]
  return { id, namespace: `/var/run/netns/cni-${parts.join("-")}` }
}

const forwarding = (port: number, { id }: Sandbox, text: string): string =>
  `error forwarding port ${port} to pod ${id}, uid : ${text}`

const executing = (port: number, pod: Sandbox, text: string): string =>
  forwarding(port, pod, `failed to execute portforward in network namespace "${pod.namespace}": ${text}`)

/** Nothing listens. `why` is the kernel's word: `connection refused`. */
export const refused = (port: number, pod: Sandbox, why: string): string =>
  executing(
    port,
    pod,
    `failed to connect to localhost:${port} inside namespace "${pod.id}", IPv4: dial tcp4 127.0.0.1:${port}: connect: ` +
      `${why} IPv6 dial tcp6: address localhost: no suitable address found `
  )

/** The program has reset the connection. */
export const broken = (port: number, pod: Sandbox, localPort: number, what: "read" | "write"): string =>
  executing(
    port,
    pod,
    `${what} tcp4 127.0.0.1:${localPort}->127.0.0.1:${port}: ${what}: connection reset by peer`
  )

/** The pod has ended. */
export const gone = (port: number, pod: Sandbox): string =>
  forwarding(port, pod, `network namespace for sandbox "${pod.id}" is closed`)

/** Half a pair came, and not the other half. */
export const timedOut = (request: string): string => `(conn=test, request=${request}) timed out waiting for streams`
