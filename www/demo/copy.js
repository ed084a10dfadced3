// The buttons that copy a program or an example.

/** Copies the text of an element. Where a page may not write to the clipboard, the text is selected. */
export async function copy(button, element) {
  try {
    await navigator.clipboard.writeText(element.value ?? element.textContent);
    button.textContent = "Copied";
  } catch {
    if (element.select) element.select();
    else getSelection().selectAllChildren(element);
    button.textContent = "Selected";
  }
  setTimeout(() => {
    button.textContent = "Copy";
  }, 1500);
}

/** Connects the buttons of a part of the page that name with `data-copy` what they copy. */
export function copyButtons(part) {
  for (const button of part.querySelectorAll("[data-copy]"))
    button.addEventListener("click", () => void copy(button, document.getElementById(button.dataset.copy)));
}
