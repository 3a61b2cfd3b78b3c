// Ctrl-V anywhere on the page: Gradio itself has a button for it only.
document.addEventListener("paste", (event) => {
  const input = document.querySelector("#picture input[type=file]");
  const file = event.clipboardData.files[0];
  if (!input || !file) return;
  const files = new DataTransfer();
  files.items.add(file);
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});
