// The search runs in a worker, which browsers refuse to pages that are opened from a disk.
// There, a hidden frame on the same page runs the worker's script.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(script) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.answer = data => this.dispatchEvent(new MessageEvent("message", { data }))
      this.frame.srcdoc = `<script>postMessage = data => frameElement.answer(data)</script>
        <script src="${script}"></script>`
      this.loaded = new Promise(resolve => this.frame.addEventListener("load", resolve))
      document.documentElement.append(this.frame)
    }
    postMessage(data) {
      this.loaded.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
    }
  }
}
