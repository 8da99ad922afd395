"""What the acknowledge page says when something is missing, wrong, or at its end."""

from collections.abc import Mapping

WRONG: Mapping[str, tuple[str, str]] = {  # English, Spanish
    "errors": (
        "Nothing was sent yet. Please correct:",
        "Aún no se envió nada. Corrija, por favor:",
    ),
    "error": ("Error", "Error"),
    "err_answer": ("Choose one of the answers.", "Elija una de las respuestas."),
    "err_code": (
        "Type the six digits from the message with this link.",
        "Escriba las seis cifras del mensaje con este enlace.",
    ),
    "err_name": (
        "Type your name, on one line of at most 120 characters.",
        "Escriba su nombre, en una línea de 120 caracteres como máximo.",
    ),
    "err_role": (
        "Type your role, on one line of at most 120 characters.",
        "Escriba su cargo, en una línea de 120 caracteres como máximo.",
    ),
    "err_note": (
        "Shorten the note to 500 characters of plain text.",
        "Acorte la nota a 500 caracteres de texto simple.",
    ),
    "err_eta": (
        "Choose until when you need time.",
        "Elija hasta cuándo necesita tiempo.",
    ),
    "err_reason": ("Choose why this is not yours.", "Elija por qué no le corresponde."),
    "err_eta_past": (
        "That time has passed. Choose a later one.",
        "Esa hora ya pasó. Elija una posterior.",
    ),
    "err_eta_too_far": (
        "That is later than this notice allows. Choose an earlier time, or another answer.",
        "Es más tarde de lo que permite este aviso. Elija una hora anterior u otra respuesta.",
    ),
    "err_more_time_used": (
        "Your agency was given more time once already. Accept, or say that this is not yours.",
        "Su agencia ya recibió más tiempo una vez. Acepte, o diga que no le corresponde.",
    ),
    "err_code_wrong": (
        "This is not the code of that message. {left} more tries, then the link is locked.",
        "Ese no es el código de aquel mensaje. Quedan {left} intentos y el enlace se bloquea.",
    ),
    "err_conflict": (
        "Something changed at the same moment, and your answer was not stored. Send it again.",
        "Algo cambió en ese mismo momento y su respuesta no se guardó. Envíela de nuevo.",
    ),
    "err_unavailable": (
        (
            "The bus cannot store anything at this moment, and your answer was not stored. Send it"
            " again in a minute, or ring the operators."
        ),
        (
            "En este momento el sistema no puede guardar nada, y su respuesta no se guardó. Envíela"
            " de nuevo en un minuto o llame a los operadores."
        ),
    ),
    "locked": (
        (
            "This link is locked: too many wrong codes were typed. Ring the bus's operators; they"
            " record your answer."
        ),
        (
            "Este enlace está bloqueado: se escribieron demasiados códigos erróneos. Llame a los"
            " operadores del sistema; ellos registran su respuesta."
        ),
    ),
    "refused_unknown_title": ("No such link", "No existe ese enlace"),
    "refused_unknown": (
        (
            "Copy the whole address from the message, without a line break, or use the link in a"
            " newer"
            " message."
        ),
        (
            "Copie la dirección completa del mensaje, sin salto de línea, o use el enlace de un"
            " mensaje"
            " más nuevo."
        ),
    ),
    "refused_expired_title": ("This link has expired", "Este enlace ha caducado"),
    "refused_expired": (
        "Use the link in a newer message, or ring the bus's operators.",
        "Use el enlace de un mensaje más nuevo o llame a los operadores del sistema.",
    ),
    "refused_contact_title": ("This link is no longer valid", "Este enlace ya no es válido"),
    "refused_contact": (
        (
            "It was sent to a contact who no longer answers for the agency. Ask a present contact"
            " of"
            " the agency, or ring the bus's operators."
        ),
        (
            "Se envió a un contacto que ya no responde por la agencia. Pregunte a un contacto"
            " actual"
            " de la agencia o llame a los operadores del sistema."
        ),
    ),
    "refused_unavailable_title": ("Please try again", "Inténtelo de nuevo"),
    "refused_unavailable": (
        (
            "The bus does not answer at this moment. Open the link again in a minute, or ring the"
            " operators."
        ),
        (
            "El sistema no responde en este momento. Abra el enlace de nuevo en un minuto o llame a"
            " los operadores."
        ),
    ),
    "refused_form_title": ("This form cannot be read", "Este formulario no se puede leer"),
    "refused_form": (
        "Go back, shorten what you typed, and send it from the page that the link opens.",
        "Vuelva atrás, acorte lo que escribió y envíelo desde la página que abre el enlace.",
    ),
}
