/**
 * Containers that find a few programs only, on a server whose images have them all: a volume hides those of the image
 * (they are in `/bin`), and in it are a copy of busybox and a link for each program.
 */
import type { PodSpec } from "@effect-k8s/core/apis/core/v1"

// The shell of busybox runs all of busybox without a link, so in the copy `cat` goes by another name, in the same place of
// the sorted table. Rows that count on it check it. The path is relative because in a test cluster, which may be behind a
// kubeconfig too, nothing is mounted: there it is in the container's own directory, and hides nothing.
const script = `set -e
mkdir -p programs
cp /bin/sh programs/busybox
cd programs
at=$(strings -n 3 -t d busybox | sed -n 's/^ *\\([0-9]*\\) cat$/\\1/p')
[ -z "$at" ] || printf caz | dd of=busybox bs=1 seek="$at" conv=notrunc
for name; do ln -sf busybox "$name"; done`

const volume = "programs"

/** What a pod is, besides the rest, whose container finds these programs and no others; `cat` cannot be one of them. */
export const hiding = (
  container: PodSpec["containers"][number],
  programs: ReadonlyArray<string>
): Pick<PodSpec, "initContainers" | "containers" | "volumes"> => ({
  initContainers: [{
    name: "copy",
    image: container.image,
    command: ["sh", "-c", script, "copy", ...programs],
    volumeMounts: [{ name: volume, mountPath: "/programs" }]
  }],
  containers: [{ ...container, volumeMounts: [{ name: volume, mountPath: "/bin" }] }],
  volumes: [{ name: volume, emptyDir: {} }]
})
